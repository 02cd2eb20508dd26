"""A job on disk. Several processes may work in one folder: what one claims is left alone by the others, and what is
recorded is never done again.

`job.json`: what was asked. `model/`: a copy of the bundle. `inputs/NAME/`: the plan of a sample, calls of each shard
and the record of that shard, what became of the sample. `locks/`: claims. `turned/`: matrices by columns, kept by
rows while the job runs. `manifest.json`: the receipt of the whole.
"""

import fcntl
import glob
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from cellmark.schemas.atomic_output import unwritable, whole_file
from cellmark.schemas.errors import ParameterError

from .input_digest import digest_input, stamp_input
from .job_records import InputPlan, JobManifest, JobSpec, Outcome, ShardRecord, WrittenFile, adapter, plain

Record = TypeVar("Record")
SMALL_FACE = ".cellmark"
"""Where `cellmark annotate` keeps the job of an output folder."""


class JobFolder:
    """`spec`: what was asked. Raises `ParameterError` (`JOB_FOLDER_INVALID`) where there is no job, or another
    release's.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        spec = read_record(folder / "job.json", JobSpec)
        if spec is None:
            raise ParameterError.of(
                "JOB_FOLDER_INVALID",
                where=str(folder),
                expected="the folder of a job, with a job.json",
                found="none",
                remedy="Make one: cellmark batch plan DATA -m MODEL -o JOB.",
            )
        self.spec = spec
        self._scored: dict[tuple[str, int], ShardRecord] = {}

    @classmethod
    def create(cls, folder: Path, spec: JobSpec) -> "JobFolder":
        """A new job. Raises `OutputError` where there is one already, or it cannot be written."""
        write_record(folder / "job.json", spec)
        return cls(folder)

    @property
    def outputs(self) -> Path | None:
        """Where files of calls go, None where shards are all that is wanted."""
        return None if self.spec.outputs is None else Path(os.path.normpath(self.folder / self.spec.outputs.folder))

    @property
    def turned(self) -> Path:
        """Where matrices that lie by columns are kept by rows until the job has come to its end."""
        return self.folder / "turned"

    @property
    def n_inputs(self) -> int:
        return len(self.spec.inputs)

    def input_folder(self, name: str) -> Path:
        return self.folder / "inputs" / name

    def shard_file(self, name: str, number: int, suffix: str = ".parquet") -> Path:
        return self.input_folder(name) / f"{number:05d}{suffix}"

    def shard_files(self, name: str, plan: InputPlan, suffix: str = ".parquet") -> list[Path]:
        """A file of every shard, in order."""
        return [self.shard_file(name, number, suffix) for number in range(len(plan.shards))]

    def plan(self, name: str) -> InputPlan | None:
        return read_record(self.input_folder(name) / "plan.json", InputPlan)

    def record(self, name: str, number: int) -> ShardRecord | None:
        """None as well where a file that it names is not there in its size: it is scored again."""
        if (name, number) in self._scored:
            return self._scored[name, number]
        record = read_record(self.shard_file(name, number, ".json"), ShardRecord)
        if record is None:
            return None
        folder = self.input_folder(name)
        for file, written in record.files.items():
            if _size(folder / file) not in (written.bytes, record.coming.get(file, written).bytes):
                return None
        if record.state == "scored":
            self._scored[name, number] = record
        return record

    def records(self, name: str, plan: InputPlan) -> list[ShardRecord | None]:
        return [self.record(name, number) for number in range(len(plan.shards))]

    def outcome(self, name: str) -> Outcome | None:
        return read_record(self.input_folder(name) / "outcome.json", Outcome)

    @property
    def manifest(self) -> JobManifest | None:
        return read_record(self.folder / "manifest.json", JobManifest)

    def forget(self, name: str) -> None:
        """Remove all that was found of a sample, so that it is done again."""
        self._scored = {key: record for key, record in self._scored.items() if key[0] != name}
        (self.folder / "manifest.json").unlink(missing_ok=True)
        (self.input_folder(name) / "outcome.json").unlink(missing_ok=True)
        (self.input_folder(name) / "plan.json").unlink(missing_ok=True)
        shutil.rmtree(self.input_folder(name), ignore_errors=True)

    @contextmanager
    def claim(self, what: str) -> Iterator[bool]:
        """Whether this process alone is to do something; another one that does it at this moment gets False. A process
        that ends, however, gives its claims back.
        """
        place = self.folder / "locks" / what
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(place, os.O_CREAT | os.O_RDWR, 0o666)
        except OSError as error:
            raise unwritable(place, error) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield False
                return
            except OSError as error:  # a file system without locks
                raise unwritable(place, error) from error
            yield True
        finally:
            os.close(descriptor)

    def drop_drafts(self, name: str, stem: str) -> None:
        """Remove what a process that was killed left half-written; to be called by who has the claim."""
        for draft in self.input_folder(name).glob(f".{glob.escape(stem[:32])}*-*"):
            if draft.is_dir():
                shutil.rmtree(draft, ignore_errors=True)
            else:
                draft.unlink(missing_ok=True)


def read_record(path: Path, kind: type[Record]) -> Record | None:
    """The record in a file, None where there is none. Raises `ParameterError` (`JOB_FOLDER_INVALID`) for another
    content.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _invalid(path, error.strerror or str(error)) from error
    try:
        return adapter(kind).validate_json(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise _invalid(path, f"{where}: {first['msg']}" if where else first["msg"]) from error


def _invalid(path: Path, found: str) -> ParameterError:
    return ParameterError.of(
        "JOB_FOLDER_INVALID",
        where=str(path),
        expected="a record as this release of cellmark writes it",
        found=found[:300],
        remedy="Restore the file, or plan the job anew into another folder.",
    )


def write_record(path: Path, record: Any, *, force: bool = False) -> None:
    """Whole or not at all; the same values give the same bytes."""
    with whole_file(path, force=force) as draft:
        draft.write_text(json.dumps(plain(record), indent=1, ensure_ascii=False) + "\n", "utf-8")
        sync(draft)


def sync(path: Path) -> None:
    """Have the system put a file on its disk: a record must not outlive what it speaks of."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def written(path: Path) -> WrittenFile:
    """Digest and size of a file, or of all files of a folder."""
    if path.is_dir():
        return WrittenFile(sha256=digest_input(path), bytes=stamp_input(path).bytes)
    with path.open("rb") as file:
        return WrittenFile(sha256=hashlib.file_digest(file, "sha256").hexdigest(), bytes=path.stat().st_size)


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None
