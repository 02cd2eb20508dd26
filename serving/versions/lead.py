"""The work of the one worker that leads: asks the registry, fetches, tests, and says which version all shall serve."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from cellmark.schemas.errors import CellmarkError, Finding, RequestError

from ..models.find_version import VersionUri, parse_model_uri
from .ask_registry import alias_version
from .fetch_version import Fetch, is_uri
from .last_good import last_good, remember_good
from .settings import Wish
from .version_record import ModelRecord, ServedVersion, findings_of
from .version_state import VersionState

logger = logging.getLogger("cellmark.serving")

Model = TypeVar("Model")
LONGEST_PAUSE = 600.0
"""Seconds between two tries, however often one has failed."""


@dataclass(frozen=True)
class Registry:
    """Where versions come from. `ask`: which version an alias names, None where only `fetch` can say. `remember` and
    `recall`: the last good version of a URI.
    """

    fetch: Fetch
    ask: Callable[[VersionUri], str | None] = alias_version
    remember: Callable[[str, ServedVersion], None] = remember_good
    recall: Callable[[str], ServedVersion | None] = last_good


class Lead(Generic[Model]):
    """`load`: a verified and self-tested model of a version. `hand_over`: takes a model that was loaded for its test,
    so that this worker does not load it twice. `report`: is called with a model's name and `loaded`, `failed` or
    `rolled_back`. `pause`: seconds between two questions to the registry, 0 for none.
    """

    def __init__(
        self,
        wishes: Sequence[Wish],
        state: VersionState,
        registry: Registry,
        *,
        load: Callable[[ServedVersion], Model],
        hand_over: Callable[[str, ServedVersion, Model], None],
        report: Callable[[str, str], None] = lambda model, outcome: None,
        pause: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wishes = tuple(wishes)
        self._state = state
        self._registry = registry
        self._load = load
        self._hand_over = hand_over
        self._report = report
        self._pause = pause
        self._clock = clock
        self._due: dict[str, float] = {}
        self._failures: dict[str, int] = {}

    def begin(self, start: str) -> None:
        """Take over: what `cellmark serve` has found counts once, at the start that found it."""
        is_new = bool(start) and self._state.is_new_start(start)
        for wish in self._wishes:
            record = self._state.record(wish.key)
            if record is None or record.current is None:
                if wish.initial is None:
                    self._due[wish.key] = self._clock()
                    continue
                self._state.put(ModelRecord(wish.key).moved_to(wish.initial, cached=wish.cached))
            elif is_new and wish.initial is not None and not wish.cached and record.starts_with(wish.initial):
                self._state.put(record.moved_to(wish.initial))
            self._due[wish.key] = self._clock() + self._pause

    def turn(self) -> None:
        """Answer what was asked, and ask the registry where that is due."""
        for number, kind, name in self._state.open_asks():
            self._state.put_answer(number, self._answer(kind, name))
        for wish in self._wishes:
            if self._clock() >= self._due.get(wish.key, 0.0) and (
                self._follows(wish.key) or self._is_missing(wish.key)
            ):
                self.check(wish.key)

    def _follows(self, key: str) -> bool:
        """Only an alias moves; a number, a run and a folder are looked at again when somebody asks."""
        return self._pause > 0 and is_uri(key) and "@" in key

    def _is_missing(self, key: str) -> bool:
        record = self._state.record(key)
        return record is None or record.current is None

    def _answer(self, kind: str, name: str | None) -> list[dict[str, Any]]:
        keys = [wish.key for wish in self._wishes if name is None or name in (wish.key, self._name(wish.key))]
        if kind == "rollback":
            return [self.roll_back(key) for key in keys[:1]]
        return [self.check(key, force=kind == "reload") for key in keys]

    def _name(self, key: str) -> str | None:
        record = self._state.record(key)
        return None if record is None or record.current is None else record.current.name

    def check(self, key: str, *, force: bool = False) -> dict[str, Any]:
        """Serve what the URI means now. `force`: also what has failed or what an operator went back from."""
        before = self._state.record(key) or ModelRecord(key)
        number: str | None = None
        try:
            try:
                number = self._number(key)
            except CellmarkError:
                if before.current is not None:
                    raise  # else there may be a version that was good last time
            if number is not None and not (force or before.wants(number)):
                self._put(before.settled(number))
            elif force or number is not None or self._follows(key) or (before.current is None and before.wants(None)):
                self._move(before, number, force=force)
        except CellmarkError as error:
            self._fail(before, error, number)
        except Exception:
            logger.exception("%s cannot be updated", key)
            self._fail(before, internal_error(key), number)
        return self._result(before)

    def _number(self, key: str) -> str | None:
        if not is_uri(key):
            return None
        wanted = parse_model_uri(key)
        return self._registry.ask(wanted) if isinstance(wanted, VersionUri) and wanted.alias is not None else None

    def _move(self, before: ModelRecord, number: str | None, *, force: bool) -> None:
        if number is not None or force or before.current is None:
            self._put(before.with_update("fetching", number))  # else it is not known yet whether anything is new
        cached = False
        try:
            version = self._registry.fetch(before.key)
        except CellmarkError as error:
            kept = self._registry.recall(before.key) if before.current is None and is_uri(before.key) else None
            if kept is None or not error.code.startswith("REGISTRY_"):
                raise
            logger.warning("%s: %s The last good version serves: %s", before.key, error, kept.version)
            version, cached = kept, True
        if not force and not before.wants(version.version) and before.current is not None and is_uri(before.key):
            self._put(before.settled(version.version))  # only the fetch could say which version it is
            return
        if version == before.current:
            self._succeed(before, before.moved_to(version))
            return
        self._put(before.with_update("testing", version.version))
        self._hand_over(before.key, version, self._load(version))
        self._succeed(before, before.moved_to(version, cached=cached))
        if is_uri(before.key) and not cached:
            self._registry.remember(before.key, version)

    def roll_back(self, key: str) -> dict[str, Any]:
        """Serve the version before, until the alias names another than it does now."""
        before = self._state.record(key) or ModelRecord(key)
        if not before.earlier:
            refused = RequestError.of(
                "NO_EARLIER_VERSION",
                where=self._name(key) or "model",
                expected="a version that this server has served before",
                found="none",
                remedy="Move the alias in the registry: cellmark models promote NAME --version NUMBER.",
            )
            return {**self._result(before), "state": "refused", "error": list(findings_of(refused))}
        try:
            named = self._number(key)
        except CellmarkError:
            named = None
        if named is None and before.current is not None:
            named = before.update.wanted_version or before.current.version
        after = before.rolled_back(named)
        try:
            assert after.current is not None  # noqa: S101
            self._hand_over(key, after.current, self._load(after.current))
        except CellmarkError as error:
            return {**self._result(before), "state": "failed", "error": list(findings_of(error))}
        self._succeed(before, after, "rolled_back")
        return self._result(before)

    def _succeed(self, before: ModelRecord, after: ModelRecord, outcome: str = "loaded") -> None:
        self._failures.pop(before.key, None)
        self._put(after)
        if after.current != before.current and after.current is not None:
            self._report(after.current.name, outcome)
            old = before.current.version if before.current else None
            logger.warning("%s: now serving version %s (was %s)", before.key, after.current.version, old)

    def _fail(self, before: ModelRecord, error: CellmarkError, number: str | None) -> None:
        current = self._state.record(before.key) or before
        wanted = number or current.update.wanted_version
        after = before.failed(error, wanted)
        if after.update != before.update:
            logger.error("%s: version %s stays out: %s", before.key, wanted, error)
            self._report(current.current.name if current.current else "unknown", "failed")
        self._failures[before.key] = self._failures.get(before.key, 0) + 1
        self._put(after)

    def _put(self, record: ModelRecord) -> None:
        self._state.put(record)
        pause = min((self._pause or 5.0) * 2 ** min(self._failures.get(record.key, 0), 20), LONGEST_PAUSE)
        self._due[record.key] = self._clock() + max(pause, self._pause)

    def _result(self, before: ModelRecord) -> dict[str, Any]:
        """What happened, for the one who asked."""
        after = self._state.record(before.key) or before
        served = after.current or before.current
        return {
            "model": served.name if served else before.key if is_uri(before.key) else "model",
            "before": _facts(before.current),
            "after": _facts(after.current),
            "state": after.update.state,
            "wanted_version": after.update.wanted_version,
            "error": list(after.update.error),
        }


def _facts(version: ServedVersion | None) -> dict[str, Any] | None:
    return None if version is None else {"model_version": version.version, "bundle_digest": version.digest}


def internal_error(where: str) -> RequestError:
    """What is said of an error that was not expected; the log has it."""
    return RequestError(
        Finding(
            "INTERNAL_ERROR",
            where=where if is_uri(where) else "model",
            expected="a model",
            found="an internal error of cellmark",
            remedy="See the service's log.",
        )
    )


def renamed(fetch: Fetch, names: dict[str, str | None], versions: dict[str, str | None]) -> Fetch:
    """`fetch`, with the names and versions that settings give to a model in place of its own."""

    def fetch_named(model: str) -> ServedVersion:
        found = fetch(model)
        return replace(found, name=names.get(model) or found.name, version=found.version or versions.get(model) or None)

    return fetch_named
