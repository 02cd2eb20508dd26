"""What is known of one request while it is answered: limits, metrics, logs, spans and receipts all read it here."""

import secrets
import time
from collections.abc import MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import numpy as np

from .stop import Stop

KEY = "cellmark"
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was answered. `types`: number of cells by call, `unassigned` among them, empty where nothing was called.
    `confidence`, `novelty`: float32 [cells], None where the answer has none. `panel_share`: share of the model's genes
    that the input measured. `codes`: of the notes. No field holds expression, genes or ids of cells.
    """

    n_cells: int
    types: dict[str, int] = field(default_factory=dict)
    confidence: np.ndarray | None = None
    novelty: np.ndarray | None = None
    panel_share: float | None = None
    codes: tuple[str, ...] = ()


@dataclass(slots=True)
class RequestContext:
    """One request. `key_id`, `scopes`: who asks, None and empty while nobody asked who. `stages`: seconds by stage
    (read, check, infer, explain, encode, queue), `spans`: when each began and ended (`time.time_ns`). `code`: of the
    refusal. `input_digest`: SHA-256 of the body, unpacked where it is compressed. `model` to `bundle_digest`: what
    answered. `stop`: asked for when its time is over or nobody waits for it any more.
    """

    request_id: str = field(default_factory=lambda: secrets.token_hex(8))
    started: float = field(default_factory=time.perf_counter)
    route: str = ""
    key_id: str | None = None
    scopes: frozenset[str] = frozenset()
    stages: dict[str, float] = field(default_factory=dict)
    spans: list[tuple[str, int, int]] = field(default_factory=list)
    code: str | None = None
    input_digest: str | None = None
    model: str | None = None
    model_version: str | None = None
    bundle_digest: str | None = None
    outcome: Outcome | None = None
    stop: Stop = field(default_factory=Stop)
    extra: dict[str, Any] = field(default_factory=dict)


_current: ContextVar[RequestContext | None] = ContextVar("cellmark_request", default=None)


def context_of(scope: MutableMapping[str, Any]) -> RequestContext:
    """The context of an ASGI scope, made at the first call, which also makes it `current()` from here on."""
    state = scope.setdefault("state", {})
    context: RequestContext | None = state.get(KEY)
    if context is None:
        context = state[KEY] = RequestContext()
        _current.set(context)
    return context


def current() -> RequestContext | None:
    """The request that this task or its worker thread answers; None outside of requests."""
    return _current.get()


def check_stop() -> None:
    """Raise the reason when the request that this thread works for is to stop; nothing outside of requests."""
    context = _current.get()
    if context is not None:
        context.stop.check()


class stage:  # noqa: N801  (used as a function: `with stage("infer"):`)
    """Add what a block takes to the request's stages; outside of a request it only runs."""

    __slots__ = ("_began", "_context", "_name", "_started")

    def __init__(self, name: str) -> None:
        self._name = name

    def __enter__(self) -> None:
        self._context = _current.get()
        self._began, self._started = time.time_ns(), time.perf_counter_ns()

    def __exit__(self, *error: object) -> None:
        if self._context is None:
            return
        # A clock that is set meanwhile moves when a stage began, never how long it took.
        taken = time.perf_counter_ns() - self._started
        self._context.spans.append((self._name, self._began, self._began + taken))
        self._context.stages[self._name] = self._context.stages.get(self._name, 0.0) + taken / 1e9


class Entering(Generic[T]):
    """A context manager whose entering is a stage of the request, however long its block takes."""

    def __init__(self, name: str, manager: Any) -> None:
        self._name = name
        self._manager = manager

    def __enter__(self) -> T:
        with stage(self._name):
            entered: T = self._manager.__enter__()
        return entered

    def __exit__(self, *error: Any) -> bool | None:
        left: bool | None = self._manager.__exit__(*error)
        return left

    async def __aenter__(self) -> T:
        with stage(self._name):
            entered: T = await self._manager.__aenter__()
        return entered

    async def __aexit__(self, *error: Any) -> bool | None:
        left: bool | None = await self._manager.__aexit__(*error)
        return left
