"""Jobs whose process is killed in each step, with a second process that is there already or starts later: each ends
once, with the same bytes.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cellmark.schemas.audit.entry import timestamp
from cellmark.schemas.bundle import Bundle
from cellmark.serving.jobs.job_store import Job, JobRecord, JobStore
from fixtures.places import ARCHIVES, FIXTURES
from fixtures.postgresql_server import postgresql_server
from fixtures.synthetic_cells import draw_cells

TINY = ARCHIVES / "tiny"
JOB = "0123456789abcdef" * 2
PLACES = [
    "before plan",
    "after plan",
    "before shard 0",
    "after shard 0",
    "after shard 1",
    "before finish",
    "after finish",
]


def add_job(folder: Path, cells: Path, job_id: str = JOB) -> Job:
    """A job that no process knows yet, as after a kill between the writing of it and its queue."""
    store, bundle = JobStore(folder), Bundle.open(TINY)
    draft = store.draft()
    (draft / "input" / "cells.h5ad").write_bytes(cells.read_bytes())
    record = JobRecord(
        id=job_id, owner=None, created=timestamp(), since=time.time(), name="cells.h5ad", options={},
        input_digest=hashlib.sha256(cells.read_bytes()).hexdigest(), model="tiny", model_version=None,
        bundle_digest=bundle.digest, bundle_folder=str(TINY),
    )  # fmt: skip
    return store.add(draft, record)[0]


@contextmanager
def worker(folder: Path, place: str = "") -> Iterator["subprocess.Popen[str]"]:
    command = [sys.executable, str(FIXTURES / "job_worker.py"), str(folder), *([place] if place else [])]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: "subprocess.Popen[str]", line: str) -> None:
    assert process.stdout is not None
    for said in process.stdout:
        if said.strip() == line:
            return
    raise AssertionError(f"the process ended before it said {line!r}")


def finished(job: Job, seconds: float = 60) -> str:
    """Digest of the result, once everything is there."""
    deadline = time.monotonic() + seconds
    while job.read("manifest") is None or (job.folder / "input").exists():
        assert time.monotonic() < deadline, sorted(str(path) for path in job.folder.rglob("*"))
        time.sleep(0.05)
    return hashlib.sha256(job.result.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def cells(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    draw_cells(seed=3).write_h5ad(path)
    return path


@pytest.fixture(scope="module")
def expected(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Digest of the result of a job that nobody disturbs."""
    folder = tmp_path_factory.mktemp("undisturbed") / "jobs"
    job = add_job(folder, cells)
    with worker(folder) as process:
        heard(process, "ready")
        return finished(job)


@pytest.mark.parametrize("place", PLACES)
def test_the_other_process_goes_on_when_one_is_killed(place: str, cells: Path, expected: str, tmp_path: Path) -> None:
    job = add_job(tmp_path / "jobs", cells)
    with worker(tmp_path / "jobs", place) as first:
        heard(first, f"at {place}")
        with worker(tmp_path / "jobs") as second:
            heard(second, "ready")
            first.kill()
            assert finished(job) == expected


@pytest.mark.parametrize("place", PLACES)
def test_a_later_process_goes_on_when_all_were_killed(place: str, cells: Path, expected: str, tmp_path: Path) -> None:
    job = add_job(tmp_path / "jobs", cells)
    with worker(tmp_path / "jobs", place) as first:
        heard(first, f"at {place}")
    with worker(tmp_path / "jobs") as second:
        heard(second, "ready")
        assert finished(job) == expected


@pytest.mark.postgres
def test_a_queue_in_postgresql_goes_on_too(
    cells: Path,
    expected: str,
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgresql_server(tmp_path_factory.mktemp("postgresql")) as url:
        monkeypatch.setenv("JOBS_DATABASE", url)
        job = add_job(tmp_path / "jobs", cells)
        with worker(tmp_path / "jobs", "before shard 1") as first:
            heard(first, "at before shard 1")
            with worker(tmp_path / "jobs") as second:
                heard(second, "ready")
                first.kill()
                assert finished(job) == expected
        assert not (tmp_path / "jobs" / "queue.db").exists()
