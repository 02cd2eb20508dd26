"""What is shown of a run that several processes share: every cell and every sample once."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pytest
from rich.console import Console
from rich.progress import Progress

from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.make_job import load_model
from cellmark.serving.batch.run_job import JobRun, Part
from cellmark.serving.batch.show_run import ShowRun
from fixtures.batch_jobs import MakeJob, run


@pytest.fixture
def samples(new_cells: ad.AnnData, tmp_path: Path) -> list[Path]:
    """Four samples, one of them broken."""
    paths = [tmp_path / f"s{number}.h5ad" for number in range(4)]
    for number, path in enumerate(paths):
        new_cells[: 60 + number].copy().write_h5ad(path)
    paths[2].write_bytes(paths[2].read_bytes()[:5_000])
    return paths


def lines(text: str) -> list[str]:
    """Outcomes that were shown."""
    return [line for line in text.splitlines() if "/4 " in line]


def test_what_other_processes_do_is_counted_and_shown_once(
    job_of: MakeJob, samples: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    job = job_of(*samples, shard_cells=20)
    progress = Progress(console=Console(file=io.StringIO()), disable=True)
    shown = ShowRun(job, progress, progress.add_task("Scoring", total=0))
    run(JobFolder(job.folder), Part(0, 2))  # another process's
    shown.look()
    (task,) = progress.tasks
    assert task.total == 60 + 61 + 63
    assert 0 < task.completed < task.total
    JobRun(job, lambda: load_model(job), shown, workers=1).run()
    shown.look()
    shown.look()
    assert (task.completed, task.total) == (184, 184)
    found = lines(capsys.readouterr().err)
    assert sorted(line.split("/4 ")[0] for line in found) == ["1", "2", "3", "4"]
    assert sorted(line.split("/4 ")[1].split(":")[0] for line in found) == list(map(str, samples))
    # One who comes later sees all as done, and shows none of it again.
    later = ShowRun(JobFolder(job.folder), progress, progress.add_task("Scoring", total=0))
    later.look()
    assert progress.tasks[1].completed == 184
    assert lines(capsys.readouterr().err) == []


def test_one_of_two_processes_shows_all_samples(
    cellmark: Callable[..., Any], job_of: MakeJob, samples: list[Path]
) -> None:
    job = job_of(*samples, shard_cells=20)
    ran = cellmark("batch", "run", job.folder, "--processes", "2")
    assert ran.status == 1
    found = lines(ran.err)
    assert sorted(line.split("/4 ")[1].split(":")[0] for line in found) == list(map(str, samples))
    assert [line.split("/4 ")[0] for line in found] == ["1", "2", "3", "4"]
    assert ran.err.count("FILE_UNREADABLE") == 1


def test_quiet_is_silent_with_several_processes_too(
    cellmark: Callable[..., Any], job_of: MakeJob, samples: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmark.serving.batch import run_processes

    started = []
    real = run_processes.subprocess.Popen

    def popen(command: list[str], **named: Any) -> Any:
        started.append(command)
        return real(command, **named)

    monkeypatch.setattr(run_processes.subprocess, "Popen", popen)
    job = job_of(*samples[:2], shard_cells=20)
    ran = cellmark("batch", "run", job.folder, "--processes", "2", "--quiet")
    assert (ran.status, ran.out, ran.err) == (0, "", "")
    assert len([command for command in started if "batch" in command]) == 1


def test_processes_of_an_array_task_do_its_part_alone(
    cellmark: Callable[..., Any], job_of: MakeJob, samples: list[Path]
) -> None:
    job = job_of(*samples[:2], shard_cells=10)
    ran = cellmark("batch", "run", job.folder, "--array-task", "1/2", "--processes", "2")
    assert ran.status == 0
    assert "2 of 2 samples have shards that are left to other tasks" in ran.out
    keys = [(name, number) for name, n_shards in (("s0", 6), ("s1", 7)) for number in range(n_shards)]
    done = [job.record(name, number) is not None for name, number in keys]
    assert done == [place % 2 == 1 for place in range(len(keys))]
