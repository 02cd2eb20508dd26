"""Tasks of an array, as SLURM and Kubernetes start them."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from cellmark.schemas.errors import ParameterError
from cellmark.serving.batch.array_task import part_of
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.run_job import Part
from fixtures.batch_jobs import MakeJob, run, shard_bytes
from fixtures.places import ROOT

BATCH = ROOT / "deploy" / "batch"

SLURM = {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_MIN": "3", "SLURM_ARRAY_TASK_COUNT": "5"}


@pytest.mark.parametrize(
    ("text", "environment", "part"),
    [
        ("0/1", {}, Part(0, 1)),
        ("3/10", SLURM, Part(3, 10)),
        ("auto", SLURM, Part(4, 5)),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_STEP": "2"}, Part(2, 5)),
        ("auto/8", SLURM, Part(4, 8)),
        ("auto/8", {"JOB_COMPLETION_INDEX": "7"}, Part(7, 8)),
    ],
)
def test_a_part_is_named_or_read_from_the_environment(text: str, environment: dict[str, str], part: Part) -> None:
    assert part_of(text, environment) == part


@pytest.mark.parametrize(
    ("text", "environment"),
    [
        ("1", {}),
        ("2/2", {}),
        ("-1/2", {}),
        ("1/2/3", {}),
        ("auto", {}),
        ("auto", {"JOB_COMPLETION_INDEX": "0"}),
        ("auto/2", {"JOB_COMPLETION_INDEX": "2"}),
        ("auto", {**SLURM, "SLURM_ARRAY_TASK_ID": "x"}),
    ],
)
def test_what_says_no_part_is_refused(text: str, environment: dict[str, str]) -> None:
    with pytest.raises(ParameterError, match=r"auto/N.*PARAMETER_INVALID"):
        part_of(text, environment)


def slurm_task(job: Path, number: int) -> tuple[list[str], dict[str, str]]:
    """How SLURM starts the script, in an array of two tasks that begins at 3."""
    told = {**SLURM, "SLURM_ARRAY_TASK_ID": str(3 + number), "SLURM_ARRAY_TASK_COUNT": "2", "SLURM_CPUS_PER_TASK": "1"}
    return ["bash", str(BATCH / "slurm_array.sh"), str(job)], told


def kubernetes_task(job: Path, number: int) -> tuple[list[str], dict[str, str]]:
    """How Kubernetes starts the container of the manifest, in a job of two tasks."""
    manifest = yaml.safe_load((BATCH / "kubernetes_job.yaml").read_text())
    (container,) = manifest["spec"]["template"]["spec"]["containers"]
    command = [*container["command"], *container["args"]]
    count = manifest["spec"]["completions"]
    assert f"auto/{count}" in command
    replaced = {"/data/job": str(job), f"auto/{count}": "auto/2"}
    return [replaced.get(word, word) for word in command], {"JOB_COMPLETION_INDEX": str(number)}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("started", [slurm_task, kubernetes_task])
def test_two_tasks_beside_each_other_make_the_job_of_one_process(
    job_of: MakeJob, sample: Path, started: Callable[[Path, int], tuple[list[str], dict[str, str]]]
) -> None:
    whole = job_of(sample, format="csv", shard_cells=20, folder="whole")
    run(whole)
    job = job_of(sample, format="csv", shard_cells=20)
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "JOB_COMPLETION"))}
    plain["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{plain['PATH']}"
    tasks = []
    for number in (0, 1):
        command, told = started(job.folder, number)
        tasks.append(subprocess.Popen(command, env={**plain, **told}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT))
    said = [task.communicate(timeout=400)[0].decode() for task in tasks]
    assert [task.returncode for task in tasks] == [0, 0], said
    assert shard_bytes(job) == shard_bytes(whole)
    plan = job.plan("sample")
    assert plan is not None
    by = [record.process for record in JobFolder(job.folder).records("sample", plan) if record]
    assert by == [tasks[number % 2].pid for number in range(6)]
    assert JobFolder(job.folder).manifest is not None
