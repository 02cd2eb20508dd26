"""Several samples in one input: which sample each cell of a shard is of, and the shift of every sample over all shards.

A small file beside each shard names the sample of its cells, since the columns of calls stay what they are. Memory does
not grow with the input: what a shift is measured on is gathered for as many samples at a time as fit.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.calls.sample_shift import SampleShift, judged_cells
from cellmark.schemas.columns import BEST_CELL_TYPE, NOVELTY

from ..scoring.call_rules import CallRules
from ..scoring.judge_as_sample import judge_as_sample, refuse_many
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput

SAMPLES, SAMPLE = ".samples.parquet", "sample"
"""How the file of a shard ends, and its column."""
AT_A_TIME = 1_000_000
"""Cells that shifts are measured on at the same time."""


def write_samples(samples: np.ndarray, draft: Path) -> None:
    """`samples`: str [cells of a shard], in their order."""
    codes, names = pd.factorize(samples)
    column = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), pa.array(list(map(str, names))))
    pq.write_table(pa.table({SAMPLE: column}), draft, compression="zstd")


def read_samples(path: Path) -> tuple[np.ndarray, list[str]]:
    """Numbers of the samples of a shard's cells, int [cells], and their names."""
    column = pq.read_table(path, columns=[SAMPLE]).column(0).combine_chunks()
    return column.indices.to_numpy(), column.dictionary.to_pylist()


class SamplesOfShards:
    """`sizes`: cells of each sample by name, in the order in which the input names them. Raises `ParameterError` for
    more than `refuse_many` allows.
    """

    def __init__(self, job: JobFolder, sample: JobInput, plan: InputPlan) -> None:
        self._calls = job.shard_files(sample.name, plan)
        self._samples = job.shard_files(sample.name, plan, SAMPLES)
        self._names: list[set[str]] = []
        self.sizes: dict[str, int] = {}
        for path in self._samples:
            codes, names = read_samples(path)
            self._names.append(set(names))
            for name, size in zip(names, np.bincount(codes, minlength=len(names)).tolist(), strict=True):
                self.sizes[name] = self.sizes.get(name, 0) + size
            refuse_many(str(job.spec.options.sample), len(self.sizes))

    def shifts(self, rules: CallRules, cell_types: Sequence[str]) -> dict[str | None, SampleShift]:
        """The shift of every sample; empty for a model that has nothing to compare it with."""
        found: dict[str | None, SampleShift] = {}
        for names in self._at_a_time():
            for name, (best, novelty) in self._gathered(names, cell_types).items():
                shift = judge_as_sample(rules, best, novelty, n_cells=self.sizes[name])
                if shift is not None:
                    found[name] = shift
        return found

    def _at_a_time(self) -> Iterator[list[str]]:
        names: list[str] = []
        n_cells = 0
        for name, size in self.sizes.items():
            n_judged = len(judged_cells(size))
            if names and n_cells + n_judged > AT_A_TIME:
                yield names
                names, n_cells = [], 0
            names.append(name)
            n_cells += n_judged
        if names:
            yield names

    def _gathered(self, wanted: Sequence[str], cell_types: Sequence[str]) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Best types and novelty of the cells that are looked at, of some samples."""
        judged = {name: judged_cells(self.sizes[name]) for name in wanted}
        best = {name: np.empty(len(rows), dtype=np.int32) for name, rows in judged.items()}
        novelty = {name: np.empty(len(rows), dtype=np.float32) for name, rows in judged.items()}
        seen = dict.fromkeys(wanted, 0)
        for calls, samples, there in zip(self._calls, self._samples, self._names, strict=True):
            if not there & judged.keys():
                continue
            codes, names = read_samples(samples)
            start = 0
            for table in _groups(calls):
                of_group = codes[start : start + table.num_rows]
                start += table.num_rows
                types = pd.Index(cell_types).get_indexer(pd.Index(table.column(BEST_CELL_TYPE).to_pandas()))
                values = table.column(NOVELTY).to_numpy()
                for number in np.unique(of_group):
                    name = names[number]
                    if name not in judged:
                        continue
                    rows = np.flatnonzero(of_group == number)
                    first, last = np.searchsorted(judged[name], [seen[name], seen[name] + len(rows)])
                    looked_at = rows[judged[name][first:last] - seen[name]]
                    best[name][first:last], novelty[name][first:last] = types[looked_at], values[looked_at]
                    seen[name] += len(rows)
        return {name: (best[name], novelty[name]) for name in wanted}


def _groups(path: Path) -> Iterator[pa.Table]:
    with pq.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            yield file.read_row_group(group, columns=[BEST_CELL_TYPE, NOVELTY])
