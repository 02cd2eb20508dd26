"""The thread in each worker that keeps its models as the server's shared record says; one worker leads as well."""

import logging
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from cellmark.schemas.errors import CellmarkError, Finding, ParameterError

from .lead import Lead, Registry, internal_error
from .loaded_models import Key, LoadedModels, give_memory_back
from .settings import Wish
from .version_record import ServedVersion, findings_from
from .version_state import FileLock, VersionState

logger = logging.getLogger("cellmark.serving")

Model = TypeVar("Model")
TICK = 0.25
"""Seconds between two looks at the shared record: about as long as two workers may differ."""
RETRY_SECONDS = 30.0
LAST_SECONDS = 2.0


class Follower(Generic[Model]):
    """Loads what the record names and swaps it in; the model before serves until then, and on if that fails.

    `load`: a self-tested model of a version. `slot`: the key under which `models` gets it.
    `swapped`: is called with the model before and the one that serves now. `report`: see `Lead`.
    """

    def __init__(
        self,
        wishes: Sequence[Wish],
        state: VersionState,
        models: LoadedModels[Model],
        registry: Registry,
        *,
        load: Callable[[ServedVersion], Model],
        slot: Callable[[str, ServedVersion], Key] = lambda key, version: (version.name, None),
        swapped: Callable[[Key, Model | None, Model], None] = lambda slot, before, after: None,
        report: Callable[[str, str], None] = lambda model, outcome: None,
        pause: float = 30.0,
        start: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wishes = tuple(wishes)
        self._keys = frozenset(wish.key for wish in wishes)
        self._state = state
        self._models = models
        self._load = load
        self._slot = slot
        self._swapped = swapped
        self._report = report
        self._clock = clock
        self._start = start
        self._tested: dict[str, tuple[ServedVersion, Model]] = {}
        self._lead = Lead(
            wishes, state, registry, load=load, hand_over=self._keep_tested, report=report, pause=pause, clock=clock
        )
        self._lock: FileLock | None = None
        self._leads = False
        self.names: dict[str, str] = {}
        self._slots: dict[str, Key] = {}
        self._reached: dict[str, int] = {}
        self._retry: dict[str, float] = {}
        self._ended = threading.Event()
        self._wake = threading.Event()
        self._trim = 0
        self._thread = threading.Thread(target=self._run, name="cellmark-versions", daemon=True)

    def begin(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """Follow no more; what takes longer than a moment to load is left to its thread."""
        self._ended.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join(LAST_SECONDS)

    def wake(self) -> None:
        """Look now."""
        self._wake.set()

    def memory_freed(self) -> None:
        """Give freed memory back soon: the request that held the model may still be returning."""
        self._trim = 2

    @property
    def leads(self) -> bool:
        return self._leads

    def _run(self) -> None:
        while not self._ended.is_set():
            try:
                self.turn()
            except Exception:
                logger.exception("Following versions failed; trying again")
                self._ended.wait(1)
            self._wake.wait(TICK)
            self._wake.clear()
        if self._lock is not None:
            self._lock.close()

    def turn(self) -> None:
        """One look: lead if nobody else does, then serve what the record says."""
        if not self._leads:
            self._lock = self._lock or self._state.leadership()
            self._leads = self._lock.taken()
            if self._leads:
                self._lead.begin(self._start)
        if self._leads:
            self.adopt()
            self._lead.turn()
        self.adopt()
        if self._trim:
            self._trim -= 1
            give_memory_back()

    def adopt(self) -> None:
        """Load and swap in what the record names and this worker does not serve yet."""
        for key, record in self._state.records().items():
            due = self._reached.get(key) != record.generation or self._clock() >= self._retry.get(key, float("inf"))
            if key in self._keys and record.current is not None and due:
                self._adopt(key, record.current, record.generation)

    def _adopt(self, key: str, version: ServedVersion, generation: int) -> None:
        tested, model = self._tested.pop(key, (None, None))
        error: list[dict[str, Any]] = []
        try:
            if tested != version or model is None:
                model = self._load(version)
            slot = self._slot(key, version)
            self._check_free(slot, key, version)
            replaced = self._models.get(self._slots.get(key, slot))
            self._models.put(slot, model)
            self._swapped(slot, replaced, model)
            before = self._slots.get(key)
            self._slots[key] = slot
            self.names[key] = version.name
            if before is not None and before != slot:
                self._models.drop(before)
            self._retry.pop(key, None)
        except CellmarkError as problem:
            error = [finding.to_dict() for finding in problem.findings]
            logger.error("%s: this worker cannot serve version %s: %s", key, version.version, problem)
        except Exception:
            error = [finding.to_dict() for finding in internal_error(key).findings]
            logger.exception("%s: this worker cannot serve version %s", key, version.version)
        if error:
            self._retry[key] = self._clock() + RETRY_SECONDS
            self._report(version.name, "failed")
        self._reached[key] = generation
        self._state.reached(key, generation, error)

    def _check_free(self, slot: Key, key: str, version: ServedVersion) -> None:
        if any(taken == slot for other, taken in self._slots.items() if other != key):
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="CELLMARK_MODEL",
                expected="models of different names",
                found=f"two of the name {version.name}",
                remedy="Serve one of them, and ask for others by /models/NAME/versions/NUMBER.",
            )

    def _keep_tested(self, key: str, version: ServedVersion, model: Model) -> None:
        self._tested[key] = (version, model)

    def why_missing(self, key: str) -> tuple[Finding, ...]:
        """What keeps a model from being served; nothing while it is on its way."""
        record = self._state.record(key)
        if record is None:
            return ()
        if record.current is None:
            return findings_from(record.update.error)
        own = [error for pid, _, error in self._state.workers(key) if error and pid == os.getpid()]
        return findings_from(own[0]) if own else ()

    def settled(self) -> bool:
        """Whether every worker that is alive has done what the record says."""
        records = self._state.records()
        return all(
            generation >= records[key].generation
            for key in self._keys & set(records)
            for _, generation, _ in self._state.workers(key)
        )
