"""What people see of a job: progress and outcomes while it runs, its state afterwards."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from ..terminal.show import STYLES, cells_in_words, show_batch, show_notes, show_outcome
from .finish_job import summary_path, summary_row, summary_table
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput, Outcome, ShardRecord
from .read_job_facts import REPORT


class ShowRun:
    """A bar over the cells of all planned samples, and a line for each that is finished."""

    def __init__(self, job: JobFolder, progress: Progress, task: TaskID) -> None:
        self._job, self._progress, self._task = job, progress, task
        self._total, self._n_finished = 0, 0
        for sample in job.spec.inputs:
            if (plan := job.plan(sample.name)) is not None:
                self._count(sample, plan)
            self._n_finished += job.outcome(sample.name) is not None

    def planned(self, sample: JobInput, plan: InputPlan) -> None:
        self._count(sample, plan)

    def scored(self, sample: JobInput, record: ShardRecord) -> None:
        self._progress.advance(self._task, record.stop - record.start)

    def finished(self, sample: JobInput, outcome: Outcome) -> None:
        self._n_finished += 1
        row = summary_row(self._job, sample, outcome)
        show_outcome(row, number=self._n_finished, of=self._job.n_inputs)
        show_notes(outcome.findings)

    def _count(self, sample: JobInput, plan: InputPlan) -> None:
        self._total += plan.n_cells
        done = sum(stop - start for (start, stop), one in self._shards(sample, plan) if one is not None)
        self._progress.update(self._task, total=self._total)
        self._progress.advance(self._task, done)

    def _shards(self, sample: JobInput, plan: InputPlan) -> Iterator[tuple[tuple[int, int], ShardRecord | None]]:
        yield from zip(plan.shards, self._job.records(sample.name, plan), strict=True)


class Silent:
    """Shows nothing: of a process beside the one that people look at."""

    def planned(self, sample: JobInput, plan: InputPlan) -> None:
        return

    def scored(self, sample: JobInput, record: ShardRecord) -> None:
        return

    def finished(self, sample: JobInput, outcome: Outcome) -> None:
        return


@contextmanager
def run_progress(job: JobFolder) -> Iterator[ShowRun]:
    """A listener for `JobRun`; the bar is left out off a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("cells"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        yield ShowRun(job, progress, progress.add_task("Scoring", total=0))


@dataclass(frozen=True)
class SampleState:
    """How far one sample is."""

    sample: str
    state: str
    n_cells: int
    n_shards: int
    n_scored: int
    codes: str


def job_state(job: JobFolder) -> list[SampleState]:
    """How far every sample is: `unplanned`, `planned`, `scoring`, or its outcome."""
    states = []
    for sample in job.spec.inputs:
        plan, outcome = job.plan(sample.name), job.outcome(sample.name)
        records = [] if plan is None else job.records(sample.name, plan)
        n_scored = sum(record is not None and record.state == "scored" for record in records)
        findings = outcome.findings if outcome is not None else plan.findings if plan is not None else ()
        state = "unplanned" if plan is None else "scoring" if n_scored else "planned"
        states.append(
            SampleState(
                sample.name,
                state if outcome is None else outcome.status,
                0 if plan is None else plan.n_cells,
                len(records),
                n_scored,
                ";".join(finding.code for finding in findings),
            )
        )
    return states


def show_state(job: JobFolder, states: list[SampleState]) -> None:
    """The state of a job as a table."""
    table = Table(title=Text(f"{job.folder}: {_in_words(states)}"))
    for column in ("sample", "state", "cells", "shards scored", "codes"):
        table.add_column(column, justify="right" if column in ("cells", "shards scored") else "left", overflow="fold")
    for one in states:
        style = STYLES["error"] if one.state in ("refused", "failed") else ""
        shards = f"{one.n_scored} of {one.n_shards}"
        table.add_row(Text(one.sample), Text(one.state, style=style), f"{one.n_cells:,}", shards, one.codes)
    console = Console(highlight=False)
    console.print(table)
    model = job.spec.model
    version = f" version {model.version}" if model.version else ""
    console.print(f"{model.name}{version} ({model.bundle_digest[:12]})", markup=False)
    if job.manifest is None:
        console.print(f"To go on: cellmark batch run {job.folder}", markup=False, soft_wrap=True)


def _in_words(states: list[SampleState]) -> str:
    counted = Counter(one.state for one in states)
    return f"{cells_in_words(sum(one.n_cells for one in states))}, " + ", ".join(
        f"{number} {state}" for state, number in counted.items()
    )


def state_as_json(job: JobFolder, states: list[SampleState]) -> dict[str, Any]:
    """The same as plain values."""
    return {
        "finished": job.manifest is not None,
        "model": {"name": job.spec.model.name, "version": job.spec.model.version},
        "samples": [vars(one) for one in states],
    }


def show_end(job: JobFolder) -> int:
    """What has become of a job that a process has worked on; the exit status of that process."""
    n_left = sum(job.outcome(sample.name) is None for sample in job.spec.inputs)
    if n_left:
        Console(highlight=False).print(
            f"This part is done; {n_left} of {job.n_inputs} samples have shards that are left to other tasks."
        )
    else:
        show_batch(summary_table(job), summary_path(job))
        Console(highlight=False).print(f"What to look at first: {job.folder / REPORT}", markup=False, soft_wrap=True)
    return exit_status(job)


def exit_status(job: JobFolder) -> int:
    """1 where a sample has come to its end without calls."""
    outcomes = [job.outcome(sample.name) for sample in job.spec.inputs]
    return int(any(outcome is not None and outcome.status != "ok" for outcome in outcomes))
