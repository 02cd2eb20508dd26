"""Calls of finished samples as files of another place or format, also into the inputs themselves."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from cellmark.schemas.atomic_output import refuse_existing, whole_file, whole_folder
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.columns import CELL_TYPE, TYPES_KEY, UNS_KEY
from cellmark.schemas.errors import OutputError

from ..annotator import Annotator
from ..outputs.write_calls import check_not_input, uns_entries
from ..reader.open_apart import open_apart
from .call_tables import CallFrames
from .explained_cells import explained_path
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput
from .make_job import load_model
from .sample_outputs import is_zarr_folder, require_room, write_outputs
from .score_shard import reading_of_shard, require_unchanged

CHECKED_CELLS = 10_000
"""Cells of a written copy that are read back before it takes its original's place."""


def collect_calls(
    job: JobFolder,
    folder: Path,
    format: str,  # noqa: A002
    *,
    force: bool,
    on_sample: Callable[[str], None],
) -> list[Path]:
    """Write one file for each finished sample; their paths. Raises `OutputError` before any is written where one is
    there already.
    """
    targets = [(sample, plan, folder / f"{sample.name}.{format}") for sample, plan in finished_samples(job)]
    for sample, _, path in targets:
        refuse_existing(path, force=force)
        if job.spec.options.explain is not None:
            refuse_existing(explained_path(path), force=force)
        check_not_input(path, [Path(one.path) for one in job.spec.inputs], origin=Path(sample.path))
    annotator = load_model(job)
    paths = []
    for sample, plan, path in targets:
        on_sample(f"Writing {path}")
        paths.append(write_outputs(job, sample, plan, _facts(job, sample), annotator, path)[0])
    return paths


def collect_in_place(job: JobFolder, *, on_sample: Callable[[str], None]) -> list[Path]:
    """Add calls to the inputs, `.h5ad` files and `.zarr` folders: each is copied, the copy gets its calls and is read
    back, then it takes its place.

    The original is opened for reading alone. Raises `OutputError` where the disk has no room for a copy, and
    `InputError` (`INPUT_CHANGED`) for a sample that is not the one that was scored; samples before it are done.
    """
    samples = list(finished_samples(job))
    for sample, _ in samples:
        _require_replaceable(Path(sample.path))
    annotator = load_model(job)
    done = []
    for sample, plan in samples:
        on_sample(f"Writing {sample.path}")
        _replace_input(job, sample, plan, annotator)
        done.append(Path(sample.path))
    return done


def _require_replaceable(path: Path) -> None:
    is_inside = is_zarr_folder(path) and is_zarr_folder(Path(os.path.realpath(path)).parent)
    if not is_inside and (is_zarr_folder(path) or path.suffix.lower() == ".h5ad"):
        return
    raise OutputError.of(
        "OUTPUT_FORMAT_UNKNOWN",
        where=str(path),
        expected="an .h5ad or a .zarr folder, to which calls can be added",
        found="a part of a larger zarr store" if is_inside else "another format",
        remedy="Write copies: cellmark batch collect JOB -o FOLDER --format h5ad (or zarr).",
    )


def finished_samples(job: JobFolder) -> Iterator[tuple[JobInput, InputPlan]]:
    """Samples that have calls."""
    for sample in job.spec.inputs:
        outcome, plan = job.outcome(sample.name), job.plan(sample.name)
        if outcome is not None and outcome.status == "ok" and plan is not None:
            yield sample, plan


def _facts(job: JobFolder, sample: JobInput) -> dict[str, object]:
    outcome = job.outcome(sample.name)
    return {} if outcome is None else outcome.facts


def _replace_input(job: JobFolder, sample: JobInput, plan: InputPlan, annotator: Annotator) -> None:
    path = Path(os.path.realpath(sample.path))  # a link stays, and what it names gets the calls
    require_unchanged(sample, plan)
    require_room(path, path.parent)
    frame = CallFrames(
        job.shard_files(sample.name, plan), annotator.cell_types, annotator.rules().names_of_columns
    ).joined()
    frame.attrs = {TYPES_KEY: annotator.cell_types, UNS_KEY: _facts(job, sample)}
    reading = reading_of_shard(job, sample, plan)
    whole = whole_folder if path.is_dir() else whole_file
    with whole(path, force=True) as draft:
        with open_apart(path, reading, may_write=True, rows=RowRange(0, 1)) as source:
            source.write_into(draft, frame, uns_entries(frame))
        rows = RowRange(0, min(plan.n_cells, CHECKED_CELLS))
        with open_apart(draft, reading, rows=rows) as copy:
            same_ids = np.array_equal(copy.cell_ids, frame.index[: len(rows)].to_numpy(dtype=object).astype(str))
            same = copy.obs[CELL_TYPE].astype(str).tolist() == frame[CELL_TYPE].astype(str).tolist()[: len(rows)]
        if not (same and same_ids):
            raise OutputError.of(
                "OUTPUT_UNWRITABLE",
                where=str(path),
                expected="a copy that reads back as it was written",
                found="another content",
                remedy="Check the disk. The original is as it was.",
            )
        if path.is_dir():
            _take_modes(path, draft)
        require_unchanged(sample, plan)
        mode = path.stat().st_mode & 0o7777
    os.chmod(path, mode)


def _take_modes(original: Path, copy: Path) -> None:
    """Who may read and write the files and folders of a copy, as of the original."""
    for folder, _, names in os.walk(copy, topdown=False):
        for place in (*(Path(folder) / name for name in names), Path(folder)):
            first = original / place.relative_to(copy)
            if first.exists():
                place.chmod(first.stat().st_mode & 0o7777)
