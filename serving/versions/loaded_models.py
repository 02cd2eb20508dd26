"""The models in a worker's memory: leased to requests, swapped at once, freed when their last request is answered."""

import ctypes
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Generic, TypeVar

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RequestError
from cellmark.schemas.manifest.bundle_files import ANNOTATOR, EXPLAINER

Key = tuple[str, str | None]
"""Name and version; None for the one that the name serves now."""
Model = TypeVar("Model")
MEMORY_OF_GRAPHS = 2.5
"""Bytes in memory for each byte of the two graphs: 49 MB were measured for graphs of 20.8 MB."""
MEMORY_BESIDE = 2 * 1024**2


def memory_of(bundle: Bundle) -> int:
    """Bytes that a loaded bundle takes, about."""
    graphs = sum(bundle.path(name).stat().st_size for name in (ANNOTATOR, EXPLAINER))
    return int(graphs * MEMORY_OF_GRAPHS) + MEMORY_BESIDE


@dataclass
class _Loaded(Generic[Model]):
    model: Model
    n_bytes: int
    kept: bool
    leases: int = 0
    used: int = 0
    gone: bool = False


class LoadedModels(Generic[Model]):
    """Models by name and version. Safe to use from many threads.

    `limit`: bytes that models which are not `kept` may take together; the one used longest ago makes room.
    `on_freed`: called when a model has left and no request holds it any more.
    """

    def __init__(self, limit: int, on_freed: Callable[[], None] = lambda: None) -> None:
        self._limit = limit
        self._on_freed = on_freed
        self._lock = threading.Lock()
        self._models: dict[Key, _Loaded[Model]] = {}
        self._leaving: list[_Loaded[Model]] = []
        self._turn = itertools.count(1)

    def get(self, key: Key) -> Model | None:
        with self._lock:
            found = self._models.get(key)
            return None if found is None else found.model

    def __contains__(self, key: Key) -> bool:
        return key in self._models

    @contextmanager
    def lease(self, key: Key) -> Iterator[Model]:
        """The model, which stays in memory until the block ends. Raises `KeyError` when it is not there."""
        with self._lock:
            found = self._models[key]
            found.leases += 1
            found.used = next(self._turn)
        try:
            yield found.model
        finally:
            with self._lock:
                found.leases -= 1
                freed = self._freed(found)
            if freed:
                self._on_freed()

    def put(self, key: Key, model: Model, n_bytes: int = 0, *, kept: bool = True) -> None:
        """Serve a model under a key from now on; requests on the one before it end with it.

        Raises `RequestError` (`MODEL_MEMORY_FULL`) when it is not `kept` and there is no room.
        """
        with self._lock:
            freed = [] if kept else self._make_room(n_bytes, besides=key)
            before = self._models.get(key)
            self._models[key] = _Loaded(model, n_bytes, kept, used=next(self._turn))
            if before is not None:
                freed.append(self._leave(before))
        if any(freed):
            self._on_freed()

    def drop(self, key: Key) -> None:
        with self._lock:
            found = self._models.pop(key, None)
            freed = found is not None and self._leave(found)
        if freed:
            self._on_freed()

    def versions(self, name: str) -> list[str]:
        """Versions of a model that are here beside the served one."""
        with self._lock:
            return sorted(version for held, version in self._models if held == name and version is not None)

    @property
    def n_leaving(self) -> int:
        """Models that are swapped out but still answer a request."""
        with self._lock:
            return len(self._leaving)

    def check_room(self, n_bytes: int) -> None:
        """Raise `RequestError` (`MODEL_MEMORY_FULL`) when a model of this size cannot get room now."""
        with self._lock:
            busy = sum(entry.n_bytes for entry in self._models.values() if not entry.kept and entry.leases)
        if busy + n_bytes > self._limit:
            raise _full(self._limit, n_bytes)

    def _make_room(self, n_bytes: int, besides: Key) -> list[bool]:
        others = {key: entry for key, entry in self._models.items() if not entry.kept and key != besides}
        taken = sum(entry.n_bytes for entry in others.values())
        idle = sorted((key for key, entry in others.items() if not entry.leases), key=lambda key: others[key].used)
        leave = []
        for key in idle:
            if taken + n_bytes <= self._limit:
                break
            taken -= others[key].n_bytes
            leave.append(key)
        if taken + n_bytes > self._limit:
            raise _full(self._limit, n_bytes)
        return [self._leave(self._models.pop(key)) for key in leave]

    def _leave(self, entry: _Loaded[Model]) -> bool:
        entry.gone = True
        self._leaving.append(entry)
        return self._freed(entry)

    def _freed(self, entry: _Loaded[Model]) -> bool:
        if not entry.gone or entry.leases or not any(other is entry for other in self._leaving):
            return False
        self._leaving = [other for other in self._leaving if other is not entry]
        return True


def _full(limit: int, n_bytes: int) -> RequestError:
    error = RequestError.of(
        "MODEL_MEMORY_FULL",
        where="version",
        expected=f"room for {n_bytes:,} bytes within CELLMARK_MODEL_MEMORY ({limit:,} bytes)",
        found="versions that take it up and are in use, or less room than this one needs",
        remedy="Ask again in a moment, ask for the served version, or set CELLMARK_MODEL_MEMORY higher.",
    )
    return error.with_headers(Retry_After="5")


def give_memory_back() -> None:
    """Let the C library return freed memory to the system: without it, nothing of a freed model's 49 MB came back."""
    if sys.platform == "linux":
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)
