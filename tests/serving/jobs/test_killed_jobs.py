"""Jobs, each in another step as the process that runs them is killed, with a second process that is there already or
starts later: each ends once, with the same bytes.
"""

import hashlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
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
PLACES = {
    f"0123456789abcdef0123456789abcde{number}": place
    for number, place in enumerate(
        (
            "before plan",
            "after plan",
            "before shard 0",
            "after shard 0",
            "after shard 1",
            "before finish",
            "after finish",
        )
    )
}
"""By the id of the job that is there when its process is killed."""
JOB = next(iter(PLACES))


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
def worker(folder: Path, places: Mapping[str, str] | None = None) -> Iterator["subprocess.Popen[str]"]:
    paused = [f"{job_id}={place}" for job_id, place in (places or {}).items()]
    command = [sys.executable, str(FIXTURES / "job_worker.py"), str(folder), *paused]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(folder.parent)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def heard(process: "subprocess.Popen[str]", *lines: str) -> None:
    """Wait until it has said all of these."""
    assert process.stdout is not None
    missing = set(lines)
    for said in process.stdout:
        missing.discard(said.strip())
        if not missing:
            return
    raise AssertionError(f"the process ended before it said {missing}")


def all_there(process: "subprocess.Popen[str]", places: Mapping[str, str]) -> None:
    """Wait until each job is at its place."""
    heard(process, *(f"{job_id} at {place}" for job_id, place in places.items()))


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


def add_jobs(folder: Path, cells: Path) -> dict[str, Job]:
    """One for each place, by its name."""
    return {place: add_job(folder, cells, job_id) for job_id, place in PLACES.items()}


def results(jobs: Mapping[str, Job]) -> dict[str, str]:
    """Digests of the results, once all are there."""
    return {place: finished(job) for place, job in jobs.items()}


@pytest.fixture(scope="module")
def expected(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Digests of the results of jobs that nobody disturbs. A result names its job, so each has its own."""
    folder = tmp_path_factory.mktemp("undisturbed") / "jobs"
    jobs = add_jobs(folder, cells)
    with worker(folder) as process:
        heard(process, "ready")
        return results(jobs)


def test_the_other_process_goes_on_when_one_is_killed(cells: Path, expected: dict[str, str], tmp_path: Path) -> None:
    jobs = add_jobs(tmp_path / "jobs", cells)
    with worker(tmp_path / "jobs", PLACES) as first:
        all_there(first, PLACES)
        with worker(tmp_path / "jobs") as second:
            heard(second, "ready")
            first.kill()
            assert results(jobs) == expected


def test_a_later_process_goes_on_when_all_were_killed(cells: Path, expected: dict[str, str], tmp_path: Path) -> None:
    jobs = add_jobs(tmp_path / "jobs", cells)
    with worker(tmp_path / "jobs", PLACES) as first:
        all_there(first, PLACES)
    with worker(tmp_path / "jobs") as second:
        heard(second, "ready")
        assert results(jobs) == expected


@pytest.mark.postgres
def test_a_queue_in_postgresql_goes_on_too(
    cells: Path,
    expected: dict[str, str],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with postgresql_server(tmp_path_factory.mktemp("postgresql")) as url:
        monkeypatch.setenv("JOBS_DATABASE", url)
        job = add_job(tmp_path / "jobs", cells)
        with worker(tmp_path / "jobs", {JOB: "before shard 1"}) as first:
            all_there(first, {JOB: "before shard 1"})
            with worker(tmp_path / "jobs") as second:
                heard(second, "ready")
                first.kill()
                assert finished(job) == expected[PLACES[JOB]]
        assert not (tmp_path / "jobs" / "queue.db").exists()
