"""What people see of a job: progress and outcomes while it runs, its state afterwards."""

import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from cellmark.schemas.errors import CellmarkError

from ..terminal.show import cells_in_words, show_batch, show_outcome
from ..terminal.show_notes import STYLES, show_notes
from .finish_job import summary_path, summary_row, summary_table
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput, Outcome, ShardRecord
from .read_job_facts import REPORT

LOOK_EVERY = 1.0
"""Seconds between two looks at what other processes have recorded."""
SPEED_SECONDS = 600
"""The time left is computed from the speed of these last seconds: a shard may take minutes."""
LOOK_SHARE = 20
"""Times the length of a look that is waited after it: a folder of many samples on a slow disk is not looked at all the
time."""


class ShowRun:
    """A bar over the cells of all planned samples, and a line for each that is finished, by whichever process: `look`
    finds in the folder what others have recorded. Each is counted and shown once.
    """

    def __init__(self, job: JobFolder, progress: Progress, task: TaskID) -> None:
        self._job, self._progress, self._task = JobFolder(job.folder), progress, task
        self._lock = threading.Lock()
        self._planned: dict[str, InputPlan] = {}
        self._counted: dict[str, set[int]] = {}
        self._ended = {sample.name for sample in job.spec.inputs if job.outcome(sample.name) is not None}
        self._begun, self._n_done = set(self._ended), 0
        self.look()

    def planned(self, sample: JobInput, plan: InputPlan) -> None:
        with self._lock:
            self._plan(sample, plan)
            self._show()

    def scored(self, sample: JobInput, record: ShardRecord) -> None:
        with self._lock:
            plan = self._planned.get(sample.name)
            if plan is not None and (record.start, record.stop) in plan.shards:
                self._shard(sample, plan, plan.shards.index((record.start, record.stop)))
            self._show()

    def finished(self, sample: JobInput, outcome: Outcome) -> None:
        with self._lock:
            self._end(sample, outcome)
            self._show()

    def look(self) -> None:
        """Count and show what is new in the folder."""
        for sample in self._job.spec.inputs:
            with self._lock:
                self._look_at(sample)
        self._show()

    def _look_at(self, sample: JobInput) -> None:
        name, job = sample.name, self._job
        if name not in self._planned and (plan := job.plan(name)) is not None:
            self._plan(sample, plan)
        if name in self._planned:
            plan = self._planned[name]
            for number in set(range(len(plan.shards))) - self._counted[name]:
                if name in self._begun or job.record(name, number) is not None:
                    self._shard(sample, plan, number)
        if name not in self._ended and (outcome := job.outcome(name)) is not None:
            self._end(sample, outcome)

    def _plan(self, sample: JobInput, plan: InputPlan) -> None:
        if sample.name not in self._planned:
            self._planned[sample.name], self._counted[sample.name] = plan, set()

    def _shard(self, sample: JobInput, plan: InputPlan, number: int) -> None:
        if number not in self._counted[sample.name]:
            self._counted[sample.name].add(number)
            start, stop = plan.shards[number]
            self._n_done += stop - start

    def _show(self) -> None:
        # At once, since the time that is left is computed from the steps.
        total = sum(plan.n_cells for plan in self._planned.values())
        self._progress.update(self._task, total=total, completed=self._n_done)

    def _end(self, sample: JobInput, outcome: Outcome) -> None:
        if sample.name in self._ended:
            return
        self._ended.add(sample.name)
        if (plan := self._planned.get(sample.name)) is not None:
            for number in range(len(plan.shards)):  # of one that is refused, those that nobody scores any more
                self._shard(sample, plan, number)
        row = summary_row(self._job, sample, outcome)
        show_outcome(row, number=len(self._ended), of=self._job.n_inputs)
        show_notes(outcome.findings)


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
    """A listener for `JobRun`, which also looks for what other processes do; the bar is left out off a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("cells"))
    over = threading.Event()
    with Progress(
        *columns,
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        speed_estimate_period=SPEED_SECONDS,
    ) as progress:
        shown = ShowRun(job, progress, progress.add_task("Scoring", total=0))
        looking = threading.Thread(target=_keep_looking, args=(shown, over), name="cellmark-progress", daemon=True)
        looking.start()
        try:
            yield shown
        finally:
            over.set()
            looking.join()
        shown.look()


def _keep_looking(shown: ShowRun, over: threading.Event) -> None:
    pause = LOOK_EVERY
    while not over.wait(pause):
        before = time.monotonic()
        with suppress(CellmarkError, OSError):  # who works in the folder meets it too, and says it
            shown.look()
        pause = max(LOOK_EVERY, LOOK_SHARE * (time.monotonic() - before))


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
