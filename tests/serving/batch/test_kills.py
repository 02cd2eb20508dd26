"""A job that is killed at any moment goes on with the same command, and its results are the same bytes."""

import random
import subprocess
import sys
from pathlib import Path

from cellmark.schemas.bundle import Bundle
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.run_job import Part
from fixtures.batch_jobs import MakeJob, run, shard_bytes

CELLMARK = [sys.executable, "-m", "cellmark.serving.commands.cli"]


def recorded(folder: Path) -> dict[str, int]:
    """When each shard was recorded."""
    return {path.name: path.stat().st_mtime_ns for path in folder.glob("inputs/*/0*.json")}


def test_a_killed_job_goes_on_and_writes_the_same_bytes(job_of: MakeJob, sample: Path) -> None:
    whole = job_of(sample, format="parquet", shard_cells=10)
    run(whole)
    job = job_of(sample, format="parquet", shard_cells=10, folder="killed")
    run(job, Part(12, 13))  # plans
    moments = random.Random(5)
    for _ in range(3):
        before = recorded(job.folder)
        process = subprocess.Popen([*CELLMARK, "batch", "run", str(job.folder), "--quiet"])
        wanted = len(before) + moments.randrange(1, 3)
        while len(recorded(job.folder)) < wanted and process.poll() is None:
            pass
        process.kill()
        process.wait()
        after = recorded(job.folder)
        assert {name: after[name] for name in before} == before  # nothing is scored twice
    assert 3 <= len(recorded(job.folder)) < 13
    assert run(JobFolder(job.folder))
    assert shard_bytes(job) == shard_bytes(whole)
    assert not list(job.folder.rglob(".*-*"))  # no drafts


def test_annotate_goes_on_after_a_kill_and_refuses_another_call(
    tiny_bundle: Bundle, sample: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    command = [*CELLMARK, "annotate", str(sample), "-m", str(tiny_bundle.folder), "-o", f"{out}/", "--format", "csv"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    while not (out / ".cellmark" / "job.json").exists() and process.poll() is None:
        pass
    process.kill()
    process.wait()
    other = subprocess.run([*command[:-1], "h5ad"], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert "[JOB_DIFFERENT]" in other.stderr
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert sorted(path.name for path in out.iterdir()) == [".cellmark", "sample.csv", "sample.json", "summary.csv"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "[OUTPUT_EXISTS]" in finished.stderr
