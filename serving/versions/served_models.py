"""The models of a service, as its routes see them: lease one by name and version, ask what is served and why not."""

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.errors import CellmarkError, Finding, RequestError

from ..annotator import Annotator
from ..observe.served_versions import reloaded
from ..scoring.score import Calls
from .fetch_version import Fetcher, is_uri
from .follower import Follower
from .lead import Registry, renamed
from .loaded_models import Key, LoadedModels
from .loading import Loading, announce, wishes_of
from .numbered_versions import NumberedVersions, unknown_model, unknown_version
from .settings import FollowSettings, Wish
from .shadow import Shadow
from .version_record import ModelRecord, ServedVersion
from .version_state import VersionState

logger = logging.getLogger("cellmark.serving")

SHADOW: Key = ("\0shadow", None)
"""Where the challenger is kept: under a name that no model has."""
TRIES = 3


class ServedModels:
    """`annotator`: the only model, for tests and services without a registry; else `serve` says what to serve."""

    def __init__(self, annotator: Annotator | None = None) -> None:
        self._models: LoadedModels[Annotator] = LoadedModels(2**62)
        self._wishes: tuple[Wish, ...] = ()
        self._alone = annotator.source.name if annotator is not None else None
        if annotator is not None:
            self._models.put((annotator.source.name, None), annotator)
        self._error: CellmarkError | None = None
        self._follower: Follower[Annotator] | None = None
        self._fetch = Fetcher()
        self._loading = Loading()
        self._state: VersionState | None = None
        self._shadow_key: str | None = None
        self.webhook_secret: str | None = None
        self._temporary: tempfile.TemporaryDirectory[str] | None = None
        self._numbered: NumberedVersions | None = None
        self.shadow: Shadow | None = None

    def serve(self, model: str | None, settings: FollowSettings, loading: Loading) -> None:
        """Serve these models from now on; they are loaded by a thread. What is wrong with the settings is reported by
        `get`.
        """
        try:
            self._wishes = wishes_of(model, settings)
        except CellmarkError as error:
            self._error = error
            return
        folder = settings.state
        if folder is None:
            self._temporary = tempfile.TemporaryDirectory(prefix="cellmark-state-", ignore_cleanup_errors=True)
            folder = self._temporary.name
        self._state = VersionState(Path(folder))
        self._loading = loading
        self._models = LoadedModels(settings.model_memory, self._freed)
        self._numbered = NumberedVersions(self._models, self._state, self._fetch, loading)
        first = self._wishes[0].key
        fetch = renamed(self._fetch, {first: loading.model_name}, {first: loading.model_version})
        challengers = () if settings.shadow is None else (Wish(settings.shadow),)
        self._shadow_key = settings.shadow
        self.webhook_secret = settings.webhook_secret
        self._follower = Follower(
            (*self._wishes, *challengers),
            self._state,
            self._models,
            Registry(fetch),
            load=loading.load,
            slot=self._slot,
            swapped=self._swapped,
            report=reloaded,
            pause=settings.follow_seconds,
            start=settings.start,
        )
        if settings.shadow is not None:
            self.shadow = Shadow(settings.shadow_share, lambda: self._models.lease(SHADOW), self._state.add_shadow)
            self.shadow.begin()
        self._follower.begin()

    def stop(self) -> None:
        """Follow no more; requests on loaded models are still answered."""
        self._fetch.stop()
        if self._follower is not None:
            self._follower.end()
        if self.shadow is not None:
            self.shadow.end()
        if self._temporary is not None:
            self._temporary.cleanup()

    def _slot(self, key: str, version: ServedVersion) -> Key:
        return SHADOW if key == self._shadow_key else (version.name, None)

    def _swapped(self, slot: Key, before: Annotator | None, after: Annotator) -> None:
        if slot != SHADOW:
            announce(before, after)

    def _freed(self) -> None:
        if self._follower is not None:
            self._follower.memory_freed()

    @property
    def is_ready(self) -> bool:
        """Whether every served model is in this worker's memory; the challenger does not count."""
        if self._alone is not None:
            return True
        names = self._follower.names if self._follower is not None else {}
        return bool(self._wishes) and all(wish.key in names for wish in self._wishes)

    @property
    def names(self) -> list[str]:
        """Names of the models that are loaded, the default first."""
        if self._alone is not None:
            return [self._alone]
        known = self._follower.names if self._follower is not None else {}
        return [known[wish.key] for wish in self._wishes if wish.key in known]

    def get(self, name: str | None = None) -> Annotator:
        """A served model. Raises `RequestError` (`SERVICE_NOT_READY`), with what went wrong when loading did, and
        `ModelError` (`MODEL_UNKNOWN`) for a name that is not served.
        """
        found = self._models.get(self._key(name, None))
        if found is None:
            raise self._not_ready()
        return found

    def require_ready(self) -> None:
        """Raise `RequestError` (`SERVICE_NOT_READY`) until every served model is loaded."""
        if not self.is_ready:
            raise self._not_ready()

    def _key(self, name: str | None, version: str | None) -> Key:
        if name is None:
            first = self._alone
            if first is None and self._wishes and self._follower is not None:
                first = self._follower.names.get(self._wishes[0].key)
            if first is None:
                raise self._not_ready()
            name = first
        if name not in self.names:
            if not self.is_ready:
                raise self._not_ready()
            raise unknown_model(name, self.names)
        return name, version

    def why_not_loaded(self) -> tuple[Finding, ...]:
        """What keeps the first model that is missing from being served; nothing while it is on its way."""
        if self._error is not None:
            return self._error.findings
        missing = [wish for wish in self._wishes if self._follower and wish.key not in self._follower.names]
        return self._follower.why_missing(missing[0].key) if missing and self._follower else ()

    def _not_ready(self) -> RequestError:
        findings = self.why_not_loaded()
        waiting = Finding(
            "SERVICE_NOT_READY",
            where="model",
            expected="a model that has passed its self-test",
            found="it could not be loaded" if findings else "it is being loaded",
            remedy="See the other findings." if findings else "Ask again in a moment; /readyz says when.",
        )
        error = RequestError(waiting, *findings)
        return error.with_headers(Retry_After="5" if findings else "1")

    def holds(self, name: str | None, version: str | None) -> bool:
        """Whether `lease` answers at once. Raises as `get`."""
        key = self._key(name, version)
        return version is None or key in self._models or self._serves(key)

    def _serves(self, key: Key) -> bool:
        current = self._models.get((key[0], None))
        return current is not None and current.source.version == key[1]

    @contextmanager
    def lease(self, name: str | None = None, version: str | None = None) -> Iterator[Annotator]:
        """A model, which stays in memory until the block ends, whatever is swapped meanwhile.

        `name`: by default the first model. `version`: by default the one that its alias names; another is fetched and
        loaded when it is first asked for, which takes seconds (`holds` says so). Raises as `get`, and
        `RequestError` (`MODEL_MEMORY_FULL`).
        """
        for _ in range(TRIES):
            key = self._key(name, version)
            if version is not None and key not in self._models:
                if self._serves(key):
                    key = key[0], None
                else:
                    self._bring(key)
            try:
                leased = self._models.lease(key)
                annotator = leased.__enter__()
            except KeyError:
                continue  # it had to make room, or was swapped under another name
            try:
                if version is not None and annotator.source.version != version:
                    continue  # the alias moved on in between
                yield annotator
                return
            finally:
                leased.__exit__(None, None, None)
        raise self._not_ready()

    def _bring(self, key: Key) -> None:
        """Fetch and load a version that was asked for by its number."""
        names = self._follower.names if self._follower is not None else {}
        registered = next((wish.key for wish in self._wishes if names.get(wish.key) == key[0]), "")
        if self._numbered is None:
            raise unknown_version(key)
        self._numbered.bring(registered, key)

    # What the administrator's routes ask.

    def records(self) -> list[tuple[Wish, ModelRecord]]:
        """What is known of each served model, in their order."""
        known = self._state.records() if self._state is not None else {}
        return [(wish, known.get(wish.key, ModelRecord(wish.key))) for wish in self._wishes]

    def update(self, name: str) -> dict[str, Any] | None:
        """How far a served model is with the version that its alias names; None for one that follows nothing."""
        for wish, record in self.records():
            if record.current is not None and record.current.name == name and is_uri(wish.key):
                return describe_update(record)
        return None

    @property
    def shadow_uri(self) -> str | None:
        return self._shadow_key

    def shadow_record(self) -> ModelRecord | None:
        """What is known of the challenger; None while nothing is, or there is none."""
        if self._shadow_key is None or self._state is None:
            return None
        return self._state.record(self._shadow_key)

    def offer(self, champion: Annotator, cells: RequestCells, calls: Calls, seconds: float) -> None:
        """Let the challenger score an answered request too, if its turn has come and the first model answered it."""
        if self.shadow is not None and self._wishes and champion is self._models.get((self.names[0], None)):
            self.shadow.offer(champion, cells, calls, seconds)

    def versions_held(self, name: str) -> list[str]:
        """Versions in this worker's memory beside the served one."""
        return self._models.versions(name)

    @property
    def state(self) -> VersionState | None:
        return self._state

    def wake(self) -> None:
        """Let this worker look at the shared record now."""
        if self._follower is not None:
            self._follower.wake()

    def settled(self) -> bool:
        """Whether all workers serve what the record says."""
        return self._follower is None or self._follower.settled()


def describe_update(record: ModelRecord) -> dict[str, Any]:
    """An update for answers; the folder of a bundle is nobody's business."""
    return {
        "state": record.update.state,
        "wanted_version": record.update.wanted_version,
        "error": list(record.update.error),
        "pinned": record.pinned_against is not None,
    }
