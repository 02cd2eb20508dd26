"""The second look at a sample whose shards are all recorded: its shift as a whole, and calls that follow from it.

The shift is measured once, on columns of the shards that no threshold changes, so that it does not depend on how many
shards there are or who scored them. Then shards whose calls it changes are written anew, row group by row group, and
recorded with their new digests: whoever reads calls, wherever, reads the same ones.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.calls.sample_shift import SampleShift, judged_cells
from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    NOVELTY,
    UNASSIGNED,
    levels_among,
)

from ..annotator import Annotator
from ..scoring.call_rules import CallRules
from ..scoring.judge_as_sample import facts_of_shifts, judge_as_sample, shift_notes, thresholds_by_type
from .call_tables import ShardWriter, named_codes
from .job_folder import JobFolder, sync, write_record, written
from .job_records import InputPlan, JobInput, JobOptions, ShardRecord
from .judge_sample import cells_of_rows
from .samples_of_shards import SAMPLES, SamplesOfShards, read_samples

SHIFT = "sample_shift"


def knows_samples(rules: CallRules, options: JobOptions) -> bool:
    """Whether shards wait for a second look: their coarse calls and those of levels are those of all cells
    until then.
    """
    return not options.fixed_threshold and rules.sample_shift is not None and rules.novelty_threshold is not None


@dataclass(frozen=True)
class Settled:
    """`records` of a sample's shards after the second look; `shift`: of all cells, as an answer's facts say it, None
    where cells are judged one by one; `notes` on it.
    """

    records: list[ShardRecord]
    shift: dict[str, Any] | None = None
    notes: list[dict[str, Any]] = field(default_factory=list)


def settle_calls(
    job: JobFolder, sample: JobInput, plan: InputPlan, records: Sequence[ShardRecord], annotator: Annotator
) -> Settled:
    """The second look; to be called by who has the claim.

    A process that is killed leaves what the next one completes: records name the files of before and after.
    """
    rules, options = annotator.rules(job.spec.options.label_set_error), job.spec.options
    if not knows_samples(rules, options):
        return Settled(list(records))
    found = (
        {None: _whole_shift(job, sample, plan, rules, annotator)}
        if options.sample is None
        else SamplesOfShards(job, sample, plan).shifts(rules, annotator.cell_types)
    )
    shifts = {name: shift for name, shift in found.items() if shift is not None}
    if not shifts:
        return Settled(list(records))
    facts = facts_of_shifts(options.sample, shifts, annotator.cell_types)
    settled = []
    for number, record in enumerate(records):
        own = _facts_of_shard(job, sample, number, facts)
        done = not record.coming and record.facts.get(SHIFT) == own
        settled.append(record if done else settle_shard(job, sample, number, record, own, annotator))
    return Settled(settled, facts, [note.to_dict() for note in shift_notes(shifts, annotator.cell_types)])


def _whole_shift(
    job: JobFolder, sample: JobInput, plan: InputPlan, rules: CallRules, annotator: Annotator
) -> SampleShift | None:
    rows, paths = judged_cells(plan.n_cells), job.shard_files(sample.name, plan)
    cells = cells_of_rows(paths, rows, [BEST_CELL_TYPE, NOVELTY])
    best = pd.Index(annotator.cell_types).get_indexer(pd.Index(cells[BEST_CELL_TYPE]))
    return judge_as_sample(rules, best, cells[NOVELTY].to_numpy(), n_cells=plan.n_cells)


def _facts_of_shard(job: JobFolder, sample: JobInput, number: int, facts: dict[str, Any]) -> dict[str, Any]:
    """Those of the samples of its cells: a record does not grow with the samples of other shards."""
    if job.spec.options.sample is None:
        return facts
    _, names = read_samples(job.shard_file(sample.name, number, SAMPLES))
    return {**facts, "samples": {name: facts["samples"][name] for name in names}}


def settle_shard(
    job: JobFolder, sample: JobInput, number: int, record: ShardRecord, facts: dict[str, Any], annotator: Annotator
) -> ShardRecord:
    """Write the calls of one shard that differ by now, and record it. `facts`: of the shifts of its samples."""
    rules = annotator.rules(job.spec.options.label_set_error)
    path, place = job.shard_file(sample.name, number), job.shard_file(sample.name, number, ".json")
    assert rules.novelty_threshold is not None  # noqa: S101 - see `knows_samples`
    samples, names = np.zeros(record.stop - record.start, dtype=np.int32), [None]
    if job.spec.options.sample is not None:
        samples, names = read_samples(job.shard_file(sample.name, number, SAMPLES))  # type: ignore[assignment]
    shifts = [facts if name is None else facts["samples"][name] for name in names]
    thresholds = ShardThresholds(
        np.stack([thresholds_by_type(one, rules.novelty_threshold, annotator.cell_types) for one in shifts]), samples
    )
    called, differs = _counted(path, thresholds, annotator.cell_types)
    types = {name: int(n) for name, n in zip([*annotator.cell_types, UNASSIGNED], called.sum(axis=0), strict=True) if n}
    sizes = {str(name): (int(row.sum()), int(row[-1])) for name, row in zip(names, called, strict=True) if name}
    settled = replace(record, types=types, samples=sizes, facts={**record.facts, SHIFT: facts}, coming={})
    if differs:
        job.drop_drafts(sample.name, path.stem)
        with whole_file(path, force=True) as draft:
            _write(path, draft, thresholds, annotator.cell_types)
            sync(draft)
            settled = replace(settled, files={**record.files, path.name: written(draft)})
            write_record(place, replace(record, coming={path.name: settled.files[path.name]}), force=True)
    else:
        settled = replace(settled, files={**record.files, path.name: written(path)})
    write_record(place, settled, force=True)
    return settled


@dataclass(frozen=True)
class ShardThresholds:
    """`of_samples`: float32 [samples x types]; `samples`: numbers of the samples of a shard's cells, int [cells]."""

    of_samples: np.ndarray
    samples: np.ndarray

    def called(self, table: pa.Table, start: int, cell_types: Sequence[str]) -> np.ndarray:
        """Number of each cell's call, as `final_calls` gives it. `table`: cells of the shard from `start` on."""
        best = _codes(table, BEST_CELL_TYPE, np.array(cell_types, dtype=object))
        limits = self.of_samples[self.samples[start : start + table.num_rows], best]
        return np.where(table.column(NOVELTY).to_numpy() <= limits, best, len(cell_types))


def _counted(path: Path, thresholds: ShardThresholds, cell_types: Sequence[str]) -> tuple[np.ndarray, bool]:
    """How many cells of each sample have each call, int [samples x (types and unassigned)], and whether the file says
    otherwise.
    """
    names, differs = np.array([*cell_types, UNASSIGNED], dtype=object), False
    found = np.zeros((len(thresholds.of_samples), len(names)), dtype=np.int64)
    start = 0
    with pq.ParquetFile(path) as file:
        # Empty, or not a number, for an unassigned cell once they are settled.
        present = file.schema_arrow.names
        coarse = [COARSE_CELL_TYPE] if COARSE_CELL_TYPE in present else []
        of_levels = levels_among(present)[1::2]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[CELL_TYPE, BEST_CELL_TYPE, NOVELTY, *coarse, *of_levels])
            called = thresholds.called(table, start, cell_types)
            differs |= not np.array_equal(called, _codes(table, CELL_TYPE, names))
            unassigned = called == len(cell_types)
            differs |= any((table.column(name).is_valid().to_numpy() & unassigned).any() for name in coarse)
            differs |= any((~np.isnan(table.column(name).to_numpy()) & unassigned).any() for name in of_levels)
            np.add.at(found, (thresholds.samples[start : start + table.num_rows], called), 1)
            start += table.num_rows
    return found, bool(differs)


def _write(path: Path, draft: Path, thresholds: ShardThresholds, cell_types: Sequence[str]) -> None:
    """The same rows with calls by `thresholds`; coarse ones and levels of assigned cells alone."""
    with pq.ParquetFile(path) as file:
        metadata = {"cellmark": (file.schema_arrow.metadata or {})[b"cellmark"].decode()}
        start = 0
        with ShardWriter(draft, metadata) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                called = thresholds.called(table, start, cell_types)
                start += table.num_rows
                table = _with(table, CELL_TYPE, named_codes(called, [*cell_types, UNASSIGNED]))
                unassigned = called == len(cell_types)
                if COARSE_CELL_TYPE in table.column_names:
                    coarse = table.column(COARSE_CELL_TYPE).combine_chunks()
                    codes = np.where(unassigned, -1, coarse.indices.fill_null(-1).to_numpy())
                    table = _with(table, COARSE_CELL_TYPE, named_codes(codes, coarse.dictionary.to_pylist()))
                    table = _emptied(table, COARSE_PROBABILITY, unassigned)
                of_levels = levels_among(table.column_names)
                for level, confidence in zip(of_levels[::2], of_levels[1::2], strict=True):
                    of_level = table.column(level).combine_chunks()
                    names = [*of_level.dictionary.to_pylist(), UNASSIGNED]
                    codes = np.where(unassigned, names.index(UNASSIGNED), of_level.indices.to_numpy())
                    table = _with(table, level, named_codes(codes, list(dict.fromkeys(names))))
                    table = _emptied(table, confidence, unassigned)
                writer.add(table)


def _emptied(table: pa.Table, column: str, cells: np.ndarray) -> pa.Table:
    values = table.column(column).to_numpy()
    return _with(table, column, pa.array(np.where(cells, np.float32("nan"), values)))


def _codes(table: pa.Table, column: str, names: np.ndarray) -> np.ndarray:
    values = table.column(column).combine_chunks()
    of_dictionary = pd.Index(names).get_indexer(pd.Index(values.dictionary.to_pylist(), dtype=object))
    return np.asarray(of_dictionary[values.indices.to_numpy()])


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(place), pa.chunked_array([column]))
