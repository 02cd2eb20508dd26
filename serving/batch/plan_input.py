"""The shards of one input: where it is cut, what its values are, and whether it can be called at all."""

import os
from pathlib import Path

import numpy as np

from cellmark.schemas.cells.reading_options import InputKind, ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.stored_rows import StoredRows
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.sizes_and_ids import duplicate_ids
from cellmark.schemas.errors import InputError

from ..annotator import Annotator
from ..reader.open_apart import open_apart, stored_rows_apart
from ..reader.reader_process import ReaderKilledError
from .input_digest import stamp_input
from .job_folder import JobFolder, write_record
from .job_records import InputPlan, JobInput, Stamp
from .score_shard import OF_THE_INPUT, refusal

SAMPLE_PIECES, SAMPLE_CELLS = 4, 250
"""What is looked at of a large input before any of its shards is scored: so many pieces of so many cells, drawn by a
fixed seed."""


def plan_input(job: JobFolder, sample: JobInput, annotator: Annotator) -> InputPlan:
    """Plan one sample and keep that; to be called by who has its claim. What is refused at once has findings."""
    job.drop_drafts(sample.name, "plan")
    try:
        plan = _plan(job, sample, annotator)
    except (*OF_THE_INPUT, ReaderKilledError) as error:
        plan = InputPlan(stamp=_stamp(sample), findings=refusal(error).findings)
    write_record(job.input_folder(sample.name) / "plan.json", plan, force=True)
    return plan


def _stamp(sample: JobInput) -> Stamp | None:
    try:
        return stamp_input(Path(sample.path))
    except InputError:
        return None


def _plan(job: JobFolder, sample: JobInput, annotator: Annotator) -> InputPlan:
    spec, path = job.spec, Path(sample.path)
    reading = spec.options.reading_of(sample)
    stamp = stamp_input(path) if os.path.exists(path) else None  # before it is read, so that a change meanwhile shows
    rows = stored_rows_apart(path, reading, n_values=spec.shard_values, most_rows=spec.shard_cells, turned=job.turned)
    cuts = tuple(map(int, rows.cuts))
    if _needs_all_cells(job) or len(cuts) < 2:
        cuts = (0, rows.n_cells)
    if len(cuts) == 2:  # its only shard finds out everything, also that there are no cells
        return InputPlan(stamp=stamp, n_cells=rows.n_cells, cuts=cuts)
    refuse_duplicates(sample, rows)
    kind = _look(job, sample, reading, rows.n_cells, annotator)
    return InputPlan(stamp=stamp, n_cells=rows.n_cells, cuts=cuts, input=kind)


def _needs_all_cells(job: JobFolder) -> bool:
    """Whether clusters are computed, for which all cells are in memory anyway."""
    return job.spec.options.over_computed


def refuse_duplicates(sample: JobInput, rows: StoredRows) -> None:
    """Raise `InputError` for cell ids that occur twice anywhere in the input: no shard sees them all."""
    if rows.n_duplicate_ids:
        raise InputError(duplicate_ids(rows.n_duplicate_ids, rows.duplicate_ids))


def _look(job: JobFolder, sample: JobInput, reading: ReadingOptions, n_cells: int, annotator: Annotator) -> InputKind:
    """Refuse what shows in a sample of cells, and find out what the values of all are."""
    kinds = set()
    for start in pieces_to_look_at(n_cells):
        rows = RowRange(start, min(start + SAMPLE_CELLS, n_cells))
        with open_apart(Path(sample.path), reading, rows=rows, turned=job.turned) as source:
            checked = annotator.check(source, reading.once_open())
            _read(checked)
            kinds.add(checked.normalised)
    if reading.input != "auto" or reading.recover_counts:
        return reading.input
    # A piece of it may look like logarithms by chance: all of them must.
    return "log1p" if kinds == {True} else "counts"


def pieces_to_look_at(n_cells: int) -> list[int]:
    """First rows of the pieces that are looked at, rising."""
    generator = np.random.default_rng(n_cells)
    starts = generator.integers(0, max(n_cells - SAMPLE_CELLS, 1), SAMPLE_PIECES - 1)
    return sorted({0, *map(int, starts)})


def _read(checked: CheckedCells) -> None:
    for _ in checked.chunks(SAMPLE_CELLS):
        pass
