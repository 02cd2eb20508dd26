"""The file of calls of one sample, made of its shards: the same as `annotate_file` would write of all cells at once."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file, whole_folder
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.columns import TYPES_KEY, UNS_KEY
from cellmark.schemas.errors import OutputError

from ..annotator import Annotator
from ..outputs.write_calls import TABLES, facts_path, uns_entries, write_table
from ..reader.open_apart import open_apart
from ..reader.reader_cells import ReaderCells
from .call_tables import CallFrames
from .explained_cells import explained_path, write_explained
from .input_digest import stamp_input
from .job_folder import JobFolder, sync
from .job_records import InputPlan, JobInput
from .score_shard import reading_of_shard

ZARR = ".zarr"


def output_path(job: JobFolder, sample: JobInput) -> Path | None:
    """The file of calls of a sample, None where shards are all that is wanted."""
    if job.outputs is None or job.spec.outputs is None:
        return None
    return job.outputs / f"{sample.name}.{job.spec.outputs.format}"


def write_outputs(
    job: JobFolder, sample: JobInput, plan: InputPlan, facts: dict[str, Any], annotator: Annotator, path: Path
) -> list[Path]:
    """Write the calls of a sample to `path`, by its extension, replacing what is there, and beside it the genes behind
    them where the job keeps these; the paths of what was written: tables have their facts beside them.
    """
    job.drop_drafts(sample.name, path.stem)
    drafts = job.input_folder(sample.name) if _same_disk(job.folder, path) else None
    written = _write_calls(job, sample, plan, facts, annotator, path, drafts)
    if job.spec.options.explain is not None:
        write_explained(job.shard_files(sample.name, plan), explained_path(path), drafts=drafts)
        written.append(explained_path(path))
    return written


def _write_calls(
    job: JobFolder,
    sample: JobInput,
    plan: InputPlan,
    facts: dict[str, Any],
    annotator: Annotator,
    path: Path,
    drafts: Path | None,
) -> list[Path]:
    frames = CallFrames(job.shard_files(sample.name, plan), annotator.cell_types, annotator.rules().names_of_columns)
    if path.suffix in TABLES and job.spec.options.calls.over is None:
        with whole_file(facts_path(path), force=True, drafts=drafts) as draft:
            draft.write_text(json.dumps(facts, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        with whole_file(path, force=True, drafts=drafts) as draft:
            (_write_parquet if path.suffix == ".parquet" else _write_csv)(iter(frames), draft)
            sync(draft)
        return [path, facts_path(path)]
    frame = frames.joined()
    frame.attrs = {TYPES_KEY: annotator.cell_types, UNS_KEY: facts}
    with _whole_input(job, sample, plan, path.suffix) as source:
        if job.spec.options.calls.over is not None:
            frame = _voted(job, sample, plan, annotator, source, frame)
        if path.suffix in TABLES:
            write_table(frame.reset_index(), facts, path, force=True)
            return [path, facts_path(path)]
        if path.suffix == ZARR:
            if is_zarr_folder(Path(sample.path)):
                require_room(Path(sample.path), path.parent)
            with whole_folder(path, force=True, drafts=drafts) as draft:
                source.write_into(draft, frame, uns_entries(frame))
        else:
            with whole_file(path, force=True, drafts=drafts) as draft:
                source.write_into(draft, frame, uns_entries(frame))
                sync(draft)
    return [path]


def is_zarr_folder(path: Path) -> bool:
    return any((path / name).is_file() for name in (".zgroup", "zarr.json"))


def require_room(path: Path, folder: Path) -> None:
    """Raise `OutputError` where the disk of `folder` has no room for a copy of an input."""
    needed, free = stamp_input(path).bytes, shutil.disk_usage(folder).free
    if free < needed * 1.02:
        raise OutputError.of(
            "OUTPUT_UNWRITABLE",
            where=str(path),
            expected=f"room for a complete copy in {folder}, {needed / 1e9:.1f} GB",
            found=f"{free / 1e9:.1f} GB free",
            remedy="Free some space, or write the calls alone: cellmark batch collect JOB -o FOLDER.",
        )


def _voted(
    job: JobFolder, sample: JobInput, plan: InputPlan, annotator: Annotator, source: ReaderCells, frame: pd.DataFrame
) -> pd.DataFrame:
    checked = annotator.check(source, reading_of_shard(job, sample, plan).once_open())
    vote = job.spec.options.calls.vote(checked)
    assert vote is not None  # noqa: S101
    return vote.add_to(frame)


def _same_disk(folder: Path, path: Path) -> bool:
    path.parent.mkdir(parents=True, exist_ok=True)
    return folder.stat().st_dev == path.parent.stat().st_dev


@contextmanager
def _whole_input(job: JobFolder, sample: JobInput, plan: InputPlan, to: str) -> Iterator[ReaderCells]:
    """The input as it is written into a copy, `to`. Of one that is copied as it lies one cell is opened; others are
    read in ranges where the copy is written in them.
    """
    path = Path(sample.path)
    copied = path.suffix.lower() == ".h5ad" or (to == ZARR and (path.is_dir() or path.suffix.lower() == ".zip"))
    rows = None
    if job.spec.options.calls.over is None and plan.n_cells and (copied or to == ZARR):
        rows = RowRange(0, 1 if copied else plan.n_cells)
    with open_apart(path, reading_of_shard(job, sample, plan), may_write=True, rows=rows) as source:
        yield source


def _write_parquet(frames: Iterator[pd.DataFrame], path: Path) -> None:
    first = next(frames)
    schema = pa.Table.from_pandas(first, preserve_index=False).schema
    with pq.ParquetWriter(path, schema) as writer:
        for frame in chain((first,), frames):
            writer.write_table(pa.Table.from_pandas(frame, schema=schema, preserve_index=False))


def _write_csv(frames: Iterator[pd.DataFrame], path: Path) -> None:
    file: TextIO
    with path.open("w", encoding="utf-8", newline="") as file:
        for number, frame in enumerate(frames):
            frame.to_csv(file, index=False, header=number == 0, lineterminator="\n")
