"""A job on a real Dask cluster: the bytes of one process, whatever becomes of workers."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cellmark.schemas.errors import SetupError
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.make_job import load_model
from cellmark.serving.batch.run_job import JobRun
from cellmark.serving.batch.run_with_dask import require_dask, run_with_dask, score_on_worker
from cellmark.serving.batch.show_run import Silent
from fixtures.batch_jobs import MakeJob, run, shard_bytes
from fixtures.dask_cluster import dask_cluster

CLI = [sys.executable, "-m", "cellmark.serving.commands.cli", "batch", "run"]


def records(job: JobFolder) -> dict[Path, dict[str, object]]:
    paths = sorted(path for path in (job.folder / "inputs" / "sample").glob("[0-9]*.json"))
    return {path: json.loads(path.read_text()) for path in paths}


@pytest.mark.timeout(600)
def test_a_worker_that_is_killed_loses_nothing(job_of: MakeJob, sample: Path, tmp_path: Path) -> None:
    plain = job_of(sample, format="csv", shard_cells=8, folder="plain")
    run(plain)
    job = job_of(sample, format="csv", shard_cells=8)
    with dask_cluster(tmp_path / "cluster", 2) as cluster:
        command = [*CLI, str(job.folder), "--dask", str(cluster.scheduler)]
        with (tmp_path / "driver.log").open("wb") as log:
            driver = subprocess.Popen(command, stdout=log, stderr=log)
        pids = [worker.pid for worker in cluster.workers]
        while not {record["process"] for record in records(job).values()} & set(pids):
            assert driver.poll() is None, (tmp_path / "driver.log").read_text()
            time.sleep(0.02)
        before = records(job)
        first = pids.index(next(record["process"] for record in before.values()))
        cluster.workers[first].send_signal(signal.SIGKILL)
        times = {path: path.stat().st_mtime_ns for path in before}
        assert driver.wait(timeout=300) == 0, (tmp_path / "driver.log").read_text()
    assert len(before) < len(records(job)) == 15, "it was killed in the middle"
    by = [record["process"] for record in records(job).values()]
    assert pids[1 - first] in by, "the other one did what was left"
    assert set(by) <= set(pids), "workers alone score"
    assert {path: path.stat().st_mtime_ns for path in before} == times, "what is recorded is not scored again"
    assert shard_bytes(job) == shard_bytes(plain)
    assert JobFolder(job.folder).manifest is not None


def with_dask(job: JobFolder, scheduler: str) -> bool:
    return run_with_dask(job, scheduler, JobRun(job, lambda: load_model(job), Silent(), workers=1), Silent())


def test_a_cluster_that_is_not_there_ends_with_one_message(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    with pytest.raises(SetupError) as failed:
        with_dask(job, "127.0.0.1:nowhere")
    assert (failed.value.code, failed.value.findings[0].where) == ("CLUSTER_UNUSABLE", "127.0.0.1:nowhere")
    assert run(job), "the job goes on"


def test_an_input_that_a_worker_does_not_see_is_not_taken_as_refused(
    job_of: MakeJob, sample: Path, tmp_path: Path
) -> None:
    path = tmp_path / "moved.h5ad"
    path.write_bytes(sample.read_bytes())
    job = job_of(path)
    JobRun(job, lambda: load_model(job), Silent()).plan()
    path.rename(tmp_path / "elsewhere.h5ad")
    with pytest.raises(SetupError, match="CLUSTER_UNUSABLE"):
        score_on_worker(str(job.folder), "moved", 0, 1)
    assert job.record("moved", 0) is None


def test_a_task_scores_its_shard_once(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    JobRun(job, lambda: load_model(job), Silent()).plan()
    with job.claim("sample.00001"):
        assert score_on_worker(str(job.folder), "sample", 1, 1) is None
    record = score_on_worker(str(job.folder), "sample", 1, 1)
    written = job.shard_file("sample", 1, ".json").stat().st_mtime_ns
    assert score_on_worker(str(job.folder), "sample", 1, 1) == record == job.record("sample", 1)
    assert job.shard_file("sample", 1, ".json").stat().st_mtime_ns == written


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(SetupError, match=r"cellmark\[dask\].*EXTRA_MISSING"):
        require_dask()
