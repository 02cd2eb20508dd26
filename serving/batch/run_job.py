"""Running a job: the loop that every process follows, whether there is one or a thousand."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cellmark.schemas.quality.expectations import import_ahead

from ..annotator import Annotator
from .finish_input import finish_input
from .finish_job import finish_job
from .input_digest import DigestAhead
from .job_folder import JobFolder
from .job_records import InputPlan, JobInput, Outcome, ShardRecord
from .plan_input import plan_input
from .read_job_facts import REPORT, write_report
from .score_shard import score_shard

LOOK_AGAIN = 0.5
"""Seconds until it is looked again whether another process has done, or given up, what is missing."""


@dataclass(frozen=True)
class Part:
    """Every `of`-th shard, from number `index` on, of all samples' shards in a row: what one task of an array does."""

    index: int
    of: int


class Listener(Protocol):
    """What is told of a run while it goes on."""

    def planned(self, sample: JobInput, plan: InputPlan) -> None: ...

    def scored(self, sample: JobInput, record: ShardRecord) -> None: ...

    def finished(self, sample: JobInput, outcome: Outcome) -> None: ...


@dataclass(frozen=True)
class ShardKey:
    """A shard: of a sample, by number."""

    sample: JobInput
    number: int

    @property
    def claim(self) -> str:
        return f"{self.sample.name}.{self.number:05d}"


class JobRun:
    """One process at work in a job's folder. `load`: opens the model, when it is first needed. `part`: shards that this
    process may score, None for all. `workers`: threads that score beside the one that reads.
    """

    def __init__(
        self,
        job: JobFolder,
        load: Callable[[], Annotator],
        listener: Listener,
        *,
        part: Part | None = None,
        workers: int | None = None,
    ) -> None:
        self._job, self._load, self._listener = job, load, listener
        self._part, self._workers = part, workers
        self._annotator: Annotator | None = None
        self._digests: dict[str, DigestAhead] = {}
        self._firsts: dict[str, int] = {}

    @property
    def annotator(self) -> Annotator:
        if self._annotator is None:
            self._annotator = self._load()
        return self._annotator

    def run(self) -> bool:
        """Do all that is left to do of this part; whether the whole job is finished then.

        Without a part it waits for what other processes have claimed, and does it where they end without. Raises what
        is no input's fault, such as `OutputError`: the same command goes on from there.
        """
        job = self._job
        if self._part is not None:
            # Shards are numbered through all samples, so all of them must be planned.
            self.plan()
        if self._part is None:
            self._until(lambda: self._each(self._sample))
        else:
            self._each(self._sample)
        return self._finish_job() if all(job.outcome(sample.name) for sample in job.spec.inputs) else False

    def plan(self) -> None:
        """Plan all samples that are not, and wait for those that other processes plan."""
        self._until(lambda: self._each(self._plan))

    def finish(self, sample: JobInput) -> None:
        """Finish a planned sample, where all of its shards are recorded or one was refused."""
        if (plan := self._job.plan(sample.name)) is not None and self._job.outcome(sample.name) is None:
            self._finish(sample, plan)

    def digest_ahead(self, sample: JobInput) -> None:
        """Begin with the digest of an input, which the end of its sample needs."""
        if sample.name not in self._digests:
            self._digests[sample.name] = DigestAhead(Path(sample.path))

    def score_one(self, name: str, number: int) -> ShardRecord | None:
        """Score one planned shard where nobody has; None where another process is at it at this moment."""
        sample = next(one for one in self._job.spec.inputs if one.name == name)
        plan = self._job.plan(name)
        assert plan is not None  # noqa: S101
        self._shard(ShardKey(sample, number), plan)
        return self._job.record(name, number)

    def pending(self) -> list[ShardKey]:
        """Shards of planned samples that are not recorded, where nothing else has been found against their sample."""
        return [
            key
            for sample in self._job.spec.inputs
            if self._job.outcome(sample.name) is None and (plan := self._job.plan(sample.name)) is not None
            for key in self._keys(sample, plan)
        ]

    def _keys(self, sample: JobInput, plan: InputPlan) -> list[ShardKey]:
        numbers = range(len(plan.shards))
        if self._part is not None:
            first, part = self._first_shard(sample), self._part
            numbers = [number for number in numbers if (first + number) % part.of == part.index]  # type: ignore[assignment]
        return [ShardKey(sample, number) for number in numbers if self._job.record(sample.name, number) is None]

    def _first_shard(self, sample: JobInput) -> int:
        """How many shards the samples before it have."""
        if not self._firsts:
            first = 0
            for one in self._job.spec.inputs:
                self._firsts[one.name] = first
                plan = self._job.plan(one.name)
                first += 0 if plan is None else len(plan.shards)
        return self._firsts[sample.name]

    def _each(self, step: Callable[[JobInput], bool]) -> bool:
        """Whether a step is done for every sample; each is tried."""
        return [step(sample) for sample in self._job.spec.inputs].count(False) == 0

    def _until(self, done: Callable[[], bool]) -> None:
        while not done():
            time.sleep(LOOK_AGAIN)

    def _sample(self, sample: JobInput) -> bool:
        """Plan, score and finish a sample, as far as nobody else does; whether it is finished."""
        job = self._job
        if job.outcome(sample.name) is not None:
            return True
        if not self._plan(sample) or (plan := job.plan(sample.name)) is None:
            return False
        keys = self._keys(sample, plan)
        if keys:
            import_ahead()  # seconds, which pass while cells are scored
        for key in keys:
            if self._is_lost(sample, plan):
                break
            if key.number == 0:
                self.digest_ahead(sample)
            self._shard(key, plan)
        return self._finish(sample, plan)

    def _plan(self, sample: JobInput) -> bool:
        job = self._job
        if job.plan(sample.name) is not None:
            return True
        with job.claim(f"{sample.name}.plan") as mine:
            if not mine:
                return False
            if job.plan(sample.name) is None:
                self._listener.planned(sample, plan_input(job, sample, self.annotator))
        return True

    def _shard(self, key: ShardKey, plan: InputPlan) -> None:
        job, sample = self._job, key.sample
        with job.claim(key.claim) as mine:
            if not mine or job.record(sample.name, key.number) is not None:
                return
            record = score_shard(job, sample, plan, key.number, self.annotator, workers=self._workers)
        self._listener.scored(sample, record)

    def _is_lost(self, sample: JobInput, plan: InputPlan) -> bool:
        """Whether a shard was refused: the others' calls would count for nothing."""
        return any(record is not None and record.state != "scored" for record in self._job.records(sample.name, plan))

    def _finish(self, sample: JobInput, plan: InputPlan) -> bool:
        job = self._job
        records = job.records(sample.name, plan)
        if not (all(records) or self._is_lost(sample, plan)):
            return False
        with job.claim(f"{sample.name}.finish") as mine:
            if not mine:
                return False
            outcome = job.outcome(sample.name)
            if outcome is None:
                ahead = self._digests.pop(sample.name, None)
                there = [record for record in records if record is not None]
                digest = None if ahead is None else ahead.result
                outcome = finish_input(job, sample, plan, there, self.annotator, digest=digest)
                self._listener.finished(sample, outcome)
        return True

    def _finish_job(self) -> bool:
        with self._job.claim("job") as mine:
            if mine and self._job.manifest is None:
                finish_job(self._job, self.annotator)
                write_report(self._job)
            elif mine and not (self._job.folder / REPORT).exists():  # ended in between
                write_report(self._job)
        return mine


def retry_failed(job: JobFolder) -> list[str]:
    """Forget what was found of samples without calls, so that they are planned and scored anew; their names."""
    again = []
    for sample in job.spec.inputs:
        outcome = job.outcome(sample.name)
        if outcome is not None and outcome.status != "ok":
            job.forget(sample.name)
            again.append(sample.name)
    return again
