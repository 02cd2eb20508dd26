"""Jobs on disk: a folder for each, which tells by its files what became of the job.

`job.json`: what was asked. `input/`: what came in. `plan.json`: that it passed the checks, and its shards. `shards/`:
calls of each. `result.parquet`, then `manifest.json`: all calls, their digests. `refused.json`: why there are no calls.
`cancelled`: that nobody wants it any more. Inputs and shards are removed as soon as nobody needs them.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.errors import SetupError

JOB_ID = re.compile(r"[0-9a-f]{32}")
NEW = ".new-"


def make_folder(folder: Path) -> Path:
    """The place of jobs below a folder, made where it does not exist. Raises `SetupError` where it cannot be."""
    place = folder / "jobs"
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SetupError.of(
            "SERVICE_FAILED",
            where=f"jobs {folder}",
            expected="a folder that can be written",
            found=error.strerror or str(error),
            remedy="Name another folder with --jobs (CELLMARK_JOBS).",
        ) from error
    return place


@dataclass(frozen=True)
class JobRecord:
    """What was asked. `owner`: id of the key that asked, None without keys. `created`: see `timestamp`; `since`: the
    same moment in seconds of the epoch. `name`: of the input, as a plain file name. `bundle_folder`: of the model on
    this machine, so that every step asks the same.
    """

    id: str
    owner: str | None
    created: str
    since: float
    name: str
    options: dict[str, str]
    input_digest: str
    model: str
    model_version: str | None
    bundle_digest: str
    bundle_folder: str


class Job:
    """One job's folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def record(self) -> JobRecord:
        """Raises `FileNotFoundError` for a job that is gone."""
        return JobRecord(**json.loads((self.folder / "job.json").read_text()))

    @property
    def input(self) -> Path:
        """The input's only file. Raises `FileNotFoundError` when it was removed."""
        for path in (self.folder / "input").iterdir():
            return path
        raise FileNotFoundError(self.folder / "input")

    @property
    def result(self) -> Path:
        return self.folder / "result.parquet"

    def shard(self, number: int) -> Path:
        """Where the calls of a shard are."""
        return self.folder / "shards" / f"{number:05d}.parquet"

    def read(self, name: str) -> dict[str, Any] | None:
        """`plan`, `refused` or `manifest`; None while there is none."""
        try:
            found: dict[str, Any] = json.loads((self.folder / f"{name}.json").read_text())
        except FileNotFoundError:
            return None
        return found

    def has(self, name: str) -> bool:
        """Whether there is such a file; see `read`."""
        return (self.folder / f"{name}.json").exists()

    def write(self, name: str, value: dict[str, Any]) -> None:
        """Whole or not at all; the same value gives the same bytes."""
        if not self.is_there:
            return  # removed meanwhile: nothing may come back
        with whole_file(self.folder / f"{name}.json", force=True) as draft:
            draft.write_text(json.dumps(value, sort_keys=True, indent=1) + "\n")

    @property
    def is_there(self) -> bool:
        return (self.folder / "job.json").exists()

    @property
    def is_cancelled(self) -> bool:
        return not self.is_there or (self.folder / "cancelled").exists()

    @property
    def is_over(self) -> bool:
        """Whether no step is to come: all are done, or it was refused or cancelled."""
        return self.is_cancelled or self.has("manifest") or self.has("refused")

    def cancel(self) -> None:
        """Nothing of the cells stays. What a step writes that still runs, `sweep` removes."""
        (self.folder / "cancelled").touch()
        self.result.unlink(missing_ok=True)
        self.drop_cells()

    def drop_cells(self) -> None:
        """Remove input and shards."""
        for name in ("input", "shards"):
            shutil.rmtree(self.folder / name, ignore_errors=True)

    def remove(self) -> None:
        """Everything, `job.json` first: without it the job is not there."""
        with suppress(FileNotFoundError):
            (self.folder / "job.json").unlink()
        shutil.rmtree(self.folder, ignore_errors=True)


class JobStore:
    """All jobs below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = make_folder(folder)

    def find(self, job_id: str) -> Job | None:
        """The job of that id, None where there is none."""
        job = Job(self.folder / job_id) if JOB_ID.fullmatch(job_id) else None
        return job if job is not None and job.is_there else None

    def all(self) -> Iterator[Job]:
        """Every job, in no order."""
        for entry in os.scandir(self.folder):
            if JOB_ID.fullmatch(entry.name):
                job = Job(Path(entry.path))
                if job.is_there:
                    yield job

    def draft(self) -> Path:
        """A new folder for an input, to be handed to `add` or removed."""
        draft = Path(tempfile.mkdtemp(prefix=NEW, dir=self.folder))
        (draft / "input").mkdir()
        return draft

    def add(self, draft: Path, record: JobRecord) -> tuple[Job, bool]:
        """Turn a draft into a job; of two with one id the first stays, and the second is told so (False)."""
        (draft / "job.json").write_text(json.dumps(asdict(record), sort_keys=True, indent=1) + "\n")
        place = self.folder / record.id
        try:
            draft.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            shutil.rmtree(draft, ignore_errors=True)
            return Job(place), False
        return Job(place), True

    def sweep(self, *, older_than: float, now: float | None = None) -> list[str]:
        """Remove jobs that were made more than `older_than` seconds ago, drafts that nobody finished, and what steps
        wrote for cancelled jobs. Ids of the jobs that are gone.
        """
        at = time.time() if now is None else now
        gone = []
        for job in list(self.all()):
            with suppress(FileNotFoundError):
                if at - job.record.since > older_than:
                    job.remove()
                    gone.append(job.folder.name)
                elif job.is_cancelled:
                    job.cancel()  # again: a step that ran meanwhile may have written
        for entry in list(os.scandir(self.folder)):
            with suppress(FileNotFoundError):
                abandoned = entry.name.startswith(NEW) and at - entry.stat().st_mtime > 3600
                if abandoned or (JOB_ID.fullmatch(entry.name) and not Job(Path(entry.path)).is_there):
                    shutil.rmtree(entry.path, ignore_errors=True)
        return gone
