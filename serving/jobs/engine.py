"""DBOS runs the jobs: it remembers in a database which steps are done, so that after a kill the others go on.

What it does by default and must not do here: pickle (JSON instead, and its pickle is switched off), a version made of
the code's hash (which would leave jobs of the day before behind), one name for all processes (see `executor_slots`),
and leaving the jobs of dead processes to a service of its vendor (`recover`).
"""

import logging
import threading
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, get_args

from cellmark.schemas.errors import RequestError, SetupError

from ..annotator import Annotator
from ..http.settings import ServiceSettings
from ..models.model_source import ModelSource, open_model
from ..observe.job_counts import jobs_are
from ..scoring.session import ModelSession
from .answers import FAILED, State, state_of
from .executor_slots import dead_slot, other_slots, take_slot
from .job_store import Job, JobStore
from .score_job import Facts, finish_job, plan_job, score_shard
from .settings import JobSettings

APPLICATION_VERSION = "cellmark-jobs-1"
"""Changes when the steps of a job or their order change: jobs that have begun are then left to services with the old
number.
"""
QUEUE = "cellmark-jobs"
RECOVER_SECONDS = 5.0
SWEEP_ROUNDS = 12
ATTEMPTS = 3
logger = logging.getLogger("cellmark.jobs")


class JobEngine:
    """Takes jobs from the queue in threads of this process. One in a process, since DBOS is. `steps`: what is done in
    each, replaced by tests.
    """

    def __init__(
        self, settings: JobSettings, service: ServiceSettings, *, recover_seconds: float = RECOVER_SECONDS
    ) -> None:
        require_dbos()
        self.settings = settings
        self.store = JobStore(settings.folder)
        self._service = service
        self._recover_seconds = recover_seconds
        self._slots = settings.folder / "executors"
        self._launched, self._ended = threading.Event(), threading.Event()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._workflow: Callable[[str], Facts] | None = None
        self.steps: dict[str, Callable[..., Facts]] = {"plan": plan_job, "shard": score_shard, "finish": finish_job}
        self._annotators = lru_cache(maxsize=2)(self._load)

    def start(self) -> None:
        """Launch in a thread, so that the service answers meanwhile."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="cellmark-jobs", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Take no more jobs; one that runs goes on elsewhere, or here after the next start."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(1)

    def enqueue(self, job: Job) -> None:
        """Put a job into the queue, once, however often it is asked for. What cannot be put there now, is later."""
        if not self._launched.wait(0 if self._thread is None else 5):
            return
        from dbos import DBOS, SetWorkflowID

        queue = DBOS.retrieve_queue(QUEUE)
        assert queue is not None  # noqa: S101
        assert self._workflow is not None  # noqa: S101
        with SetWorkflowID(job.folder.name):
            queue.enqueue(self._workflow, job.folder.name)

    def status(self, job_id: str) -> str | None:
        """DBOS's word for where a job is, None where it does not know it."""
        if not self._launched.is_set():
            return None
        from dbos import DBOS

        found = DBOS.get_workflow_status(job_id)
        return None if found is None else str(found.status)

    def cancel(self, job: Job) -> None:
        """Let no further step begin."""
        job.cancel()
        if self._launched.is_set():
            from dbos import DBOS

            DBOS.cancel_workflow(job.folder.name)

    def recover(self) -> None:
        """Put what dead processes left unfinished back into the queue, and jobs that never came there."""
        from dbos import DBOS

        for name in other_slots(self._slots, self._own):
            with dead_slot(self._slots, name) as is_dead:
                if is_dead:
                    DBOS._recover_pending_workflows([name])
        states: Counter[str] = Counter()
        for job in self.store.all():
            status = None if job.is_over else self.status(job.folder.name)
            states[state_of(job, status)] += 1
            if job.is_over:
                continue
            if status is None:
                self.enqueue(job)
            elif status in FAILED:
                job.drop_cells()
        jobs_are(states, states=get_args(State))

    def _run(self) -> None:
        try:
            self._launch()
        except Exception:
            logger.exception("Jobs cannot be run")
            return
        rounds = 0
        while not self._ended.wait(self._recover_seconds):
            try:
                self.recover()
                if rounds % SWEEP_ROUNDS == 0:
                    self._sweep()
            except Exception:
                logger.exception("Jobs of other processes could not be looked at; it is tried again")
            rounds += 1

    def _sweep(self) -> None:
        from dbos import DBOS

        for job_id in self.store.sweep(older_than=self.settings.jobs_keep_hours * 3600.0):
            DBOS.delete_workflow(job_id)

    def _launch(self) -> None:
        from dbos import DBOS, DBOSConfig, DBOSPortableJSONSerializer

        refuse_pickle()
        slot = take_slot(self._slots)
        self._own, self._slot = slot.name, slot
        config: DBOSConfig = {
            "name": "cellmark",
            "system_database_url": self.settings.database_url,
            "serializer": DBOSPortableJSONSerializer(),
            "application_version": APPLICATION_VERSION,
            "executor_id": slot.name,
            "enable_otlp": False,
            "log_level": "WARNING",
        }
        DBOS(config=config)
        self._workflow = self._register()
        DBOS.launch()
        DBOS.register_queue(
            QUEUE,
            worker_concurrency=self.settings.jobs_per_worker,
            polling_interval_sec=min(1.0, self._recover_seconds),
        )
        self._launched.set()

    def _register(self) -> Callable[[str], Facts]:
        """The order of the steps, under names that stay."""
        from dbos import DBOS

        retried = DBOS.step(name="cellmark.plan", retries_allowed=True, max_attempts=ATTEMPTS)
        plan = retried(lambda job_id: self._step("plan", job_id, shard_cells=self.settings.jobs_shard_cells))
        retried = DBOS.step(name="cellmark.shard", retries_allowed=True, max_attempts=ATTEMPTS)
        shard = retried(lambda job_id, number, at, to: self._step("shard", job_id, number, at, to))
        retried = DBOS.step(name="cellmark.finish", retries_allowed=True, max_attempts=ATTEMPTS)
        finish = retried(lambda job_id, planned: self._finish(job_id, planned))

        def annotate(job_id: str) -> Facts:
            planned: Facts = plan(job_id)
            if "findings" in planned:
                return planned
            for number, (at, to) in enumerate(planned["shards"]):
                shard(job_id, number, at, to)
            done: Facts = finish(job_id, planned)
            return done

        workflow: Callable[[str], Facts] = DBOS.workflow(name="cellmark.annotate")(annotate)
        return workflow

    def _step(self, name: str, job_id: str, *arguments: Any, **options: Any) -> Facts:
        job = self._job(job_id)
        record = job.record
        annotator = self._annotators(record.bundle_folder, record.bundle_digest)
        return self.steps[name](job, annotator, self._service, *arguments, **options)

    def _finish(self, job_id: str, planned: Facts) -> Facts:
        job = self._job(job_id)
        record = job.record
        return self.steps["finish"](job, self._annotators(record.bundle_folder, record.bundle_digest), planned)

    def _job(self, job_id: str) -> Job:
        job = self.store.find(job_id)
        if job is None or job.is_cancelled:
            raise RequestError.of(
                "JOB_CANCELLED", where="job", expected="a job", found="a cancelled one", remedy="Send it again."
            )
        return job

    def _load(self, folder: str, digest: str) -> Annotator:
        """The model that a job was given to, whatever the service serves meanwhile."""
        source: ModelSource = open_model(Path(folder))
        if source.bundle.digest != digest:
            raise SetupError.of(
                "BUNDLE_DIGEST_MISMATCH",
                where=folder,
                expected=f"the bundle of digest {digest[:12]}… that the job was given to",
                found=f"{source.bundle.digest[:12]}…",
                remedy="Put the bundle back.",
            )
        return Annotator(
            source, ModelSession(source.bundle, device=self._service.device, threads=self._service.threads)
        )


def require_dbos() -> None:
    """Raise `SetupError` (`EXTRA_MISSING`) where DBOS is not installed."""
    from importlib.util import find_spec

    if find_spec("dbos") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where="jobs",
            expected="the package dbos, which runs jobs",
            found="none",
            remedy="pip install 'cellmark[jobs]', or unset CELLMARK_JOBS.",
        )


def refuse_pickle() -> None:
    """Rows that ask for DBOS's own serializer are refused: whoever can write to its database could run code here."""
    from dbos import _serialization

    def refuse(*_: object) -> Any:
        raise ValueError("pickle is not used here")

    _serialization.DefaultSerializer.serialize = refuse
    _serialization.DefaultSerializer.deserialize = refuse
