"""The second look at a sample whose shards are all recorded: its shift as a whole, and calls that follow from it.

The shift is measured once, on columns of the shards that no threshold changes, so that it does not depend on how many
shards there are or who scored them. Then shards whose calls it changes are written anew, row group by row group, and
recorded with their new digests: whoever reads calls, wherever, reads the same ones.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.calls.sample_shift import judged_cells
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
from ..scoring.judge_as_sample import judge_as_sample, shift_facts, shift_notes
from .call_tables import ShardWriter, named_codes
from .job_folder import JobFolder, sync, write_record, written
from .job_records import InputPlan, JobInput, JobOptions, ShardRecord
from .judge_sample import cells_of_rows

SHIFT = "sample_shift"


def knows_samples(rules: CallRules, options: JobOptions) -> bool:
    """Whether shards wait for a second look: their coarse calls and those of levels are those of all cells
    until then.
    """
    return not options.fixed_threshold and rules.sample_shift is not None and rules.novelty_threshold is not None


def settle_calls(
    job: JobFolder, sample: JobInput, plan: InputPlan, records: Sequence[ShardRecord], annotator: Annotator
) -> tuple[list[ShardRecord], list[dict[str, Any]]]:
    """The records of a sample's shards after the second look, and notes on it; to be called by who has the claim.

    A process that is killed leaves what the next one completes: records name the files of before and after.
    """
    rules = annotator.rules(job.spec.options.label_set_error)
    if not knows_samples(rules, job.spec.options):
        return list(records), []
    rows, paths = judged_cells(plan.n_cells), job.shard_files(sample.name, plan)
    cells = cells_of_rows(paths, rows, [BEST_CELL_TYPE, NOVELTY])
    best = pd.Index(annotator.cell_types).get_indexer(pd.Index(cells[BEST_CELL_TYPE]))
    shift = judge_as_sample(rules, best, cells[NOVELTY].to_numpy(), n_cells=plan.n_cells)
    if shift is None:
        return list(records), []
    facts = shift_facts(shift, annotator.cell_types)
    settled = [
        settle_shard(job, sample, number, record, facts, annotator)
        if record.coming or record.facts.get(SHIFT) != facts
        else record
        for number, record in enumerate(records)
    ]
    return settled, [note.to_dict() for note in shift_notes({None: shift})]


def settle_shard(
    job: JobFolder, sample: JobInput, number: int, record: ShardRecord, facts: dict[str, Any], annotator: Annotator
) -> ShardRecord:
    """Write the calls of one shard that differ by now, and record it. `facts`: see `shift_facts`."""
    rules = annotator.rules(job.spec.options.label_set_error)
    path, place = job.shard_file(sample.name, number), job.shard_file(sample.name, number, ".json")
    raised = facts.get("thresholds", {})
    thresholds = np.array(
        [raised.get(name, rules.novelty_threshold) for name in annotator.cell_types], dtype=np.float32
    )
    types, differs = _counted(path, thresholds, annotator.cell_types)
    settled = replace(record, types=types, facts={**record.facts, SHIFT: facts}, coming={})
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


def _counted(path: Path, thresholds: np.ndarray, cell_types: Sequence[str]) -> tuple[dict[str, int], bool]:
    """How many cells have each call, and whether the file says otherwise."""
    types: Counter[str] = Counter()
    names, differs = np.array([*cell_types, UNASSIGNED], dtype=object), False
    with pq.ParquetFile(path) as file:
        # Empty, or not a number, for an unassigned cell once they are settled.
        present = file.schema_arrow.names
        coarse = [COARSE_CELL_TYPE] if COARSE_CELL_TYPE in present else []
        of_levels = levels_among(present)[1::2]
        for group in range(file.num_row_groups):
            table = file.read_row_group(group, columns=[CELL_TYPE, BEST_CELL_TYPE, NOVELTY, *coarse, *of_levels])
            called = _called(table, thresholds, cell_types)
            differs |= not np.array_equal(called, _codes(table, CELL_TYPE, names))
            unassigned = called == len(cell_types)
            differs |= any((table.column(name).is_valid().to_numpy() & unassigned).any() for name in coarse)
            differs |= any((~np.isnan(table.column(name).to_numpy()) & unassigned).any() for name in of_levels)
            types.update(dict(zip(names, np.bincount(called, minlength=len(names)).tolist(), strict=True)))
    return {str(name): types[name] for name in names if types[name]}, bool(differs)


def _write(path: Path, draft: Path, thresholds: np.ndarray, cell_types: Sequence[str]) -> None:
    """The same rows with calls by `thresholds`; coarse ones and levels of assigned cells alone."""
    with pq.ParquetFile(path) as file:
        metadata = {"cellmark": (file.schema_arrow.metadata or {})[b"cellmark"].decode()}
        with ShardWriter(draft, metadata) as writer:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                called = _called(table, thresholds, cell_types)
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


def _called(table: pa.Table, thresholds: np.ndarray, cell_types: Sequence[str]) -> np.ndarray:
    """Number of each cell's call, as `final_calls` gives it."""
    best = _codes(table, BEST_CELL_TYPE, np.array(cell_types, dtype=object))
    assigned = table.column(NOVELTY).to_numpy() <= thresholds[best]
    return np.where(assigned, best, len(cell_types))


def _codes(table: pa.Table, column: str, names: np.ndarray) -> np.ndarray:
    values = table.column(column).combine_chunks()
    of_dictionary = pd.Index(names).get_indexer(pd.Index(values.dictionary.to_pylist(), dtype=object))
    return np.asarray(of_dictionary[values.indices.to_numpy()])


def _with(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    place = table.column_names.index(name)
    return table.set_column(place, table.schema.field(place), pa.chunked_array([column]))
