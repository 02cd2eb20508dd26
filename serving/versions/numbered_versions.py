"""Versions that a request names by number: fetched and loaded when they are first asked for, within a cap of memory."""

import re
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, ModelError

from ..annotator import Annotator
from .fetch_version import Fetch, numbered, verified
from .loaded_models import Key, LoadedModels, memory_of
from .loading import Loading
from .version_state import VersionState

NUMBER = re.compile(r"[1-9][0-9]{0,8}")
UNKNOWN_SECONDS = 30.0
"""How long a version that cannot be had is not tried again: each try costs a program of its own."""
MOST_UNKNOWN = 1000


class NumberedVersions:
    """Brings versions into `models`, one at a time."""

    def __init__(
        self,
        models: LoadedModels[Annotator],
        state: VersionState,
        fetch: Fetch,
        loading: Loading,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._state = state
        self._fetch = fetch
        self._loading = loading
        self._clock = clock
        self._lock = threading.Lock()
        self._refused: dict[Key, tuple[float, CellmarkError]] = {}

    def bring(self, uri: str, key: Key) -> None:
        """Load a version, unless it is there. `uri`: of the served model whose version it is, as the service was
        started with it; the registry may know the model by another name than `key`.

        Raises `ModelError` (`MODEL_UNKNOWN`, `GOLDEN_CELLS_MISMATCH`, those of a bundle and of the registry) and
        `RequestError` (`MODEL_MEMORY_FULL`).
        """
        version = key[1]
        if version is None or not NUMBER.fullmatch(version) or not uri.startswith("models:/"):
            raise unknown_version(key)
        with self._lock:
            if key in self._models:
                return
            until, error = self._refused.get(key, (0.0, None))
            if error is not None and self._clock() < until:
                raise type(error)(*error.findings)
            try:
                self._load(re.split(r"[/@]", uri.removeprefix("models:/"))[0], version, key)
            except CellmarkError as refused:
                if refused.code == "MODEL_MEMORY_FULL":
                    raise
                shown = unknown_version(key) if refused.code == "MODEL_UNKNOWN" else _named(refused, key)
                self._remember(key, shown)
                raise shown from None

    def _load(self, registered: str, version: str, key: Key) -> None:
        found = replace(numbered(registered, version, self._fetch, self._state), name=key[0])
        n_bytes = memory_of(Bundle(Path(found.folder), verified(found).manifest))
        self._models.check_room(n_bytes)
        self._models.put(key, self._loading.load(found), n_bytes, kept=False)

    def _remember(self, key: Key, error: CellmarkError) -> None:
        now = self._clock()
        if len(self._refused) >= MOST_UNKNOWN:
            self._refused = {known: entry for known, entry in self._refused.items() if entry[0] > now}
        if len(self._refused) < MOST_UNKNOWN:
            self._refused[key] = now + UNKNOWN_SECONDS, error


def unknown_model(name: str, names: Sequence[str]) -> ModelError:
    """The error for a name that is not served."""
    return ModelError.of(
        "MODEL_UNKNOWN",
        where=f"models/{name}",
        expected="one of " + ", ".join(names),
        found="none of that name",
        remedy="GET /models lists what is served.",
    )


def unknown_version(key: Key) -> ModelError:
    """The error for a version that is not there."""
    return ModelError.of(
        "MODEL_UNKNOWN",
        where=f"models/{key[0]}/versions/{key[1]}",
        expected="the number of a version in the registry",
        found="none of that number",
        remedy="GET /models lists what is served.",
    )


def _named(error: CellmarkError, key: Key) -> CellmarkError:
    """The same error under the path of the request: no message names a folder or a registry of this server."""
    where = f"models/{key[0]}/versions/{key[1]}"
    return type(error)(*(replace(finding, where=where) for finding in error.findings))
