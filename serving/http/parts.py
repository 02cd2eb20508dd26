"""What stands around the routes: who may ask, how much at a time, which model answers, who writes it down.

Each part does nothing by default, as in tests and on a machine of one's own.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.routing import BaseRoute

from cellmark.schemas.errors import CellmarkError

from ..context import RequestContext

Recorder = Callable[[Request, RequestContext], Awaitable[None]]
"""Is awaited after an answer was computed and before it is sent; what it raises is answered in its place."""


class Admission(Protocol):
    """Who may be received and computed when."""

    def slot(self, request: Request, context: RequestContext) -> AbstractAsyncContextManager[None]:
        """Held while a body is received and computed. Raises `RequestError` when there is no room."""
        ...

    def turn(self, context: RequestContext) -> AbstractAsyncContextManager[None]:
        """Held, within a slot, while a body is computed. Raises `RequestError` when too many wait."""
        ...

    def why_not_ready(self) -> CellmarkError | None:
        """Why nothing can be answered at the moment; None when it can."""
        ...


class NoAdmission:
    """Everybody at once."""

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        yield

    def slot(self, request: Request, context: RequestContext) -> AbstractAsyncContextManager[None]:
        return self._slot()

    def turn(self, context: RequestContext) -> AbstractAsyncContextManager[None]:
        return self._slot()

    def why_not_ready(self) -> CellmarkError | None:
        return None


@dataclass(frozen=True)
class ServiceParts:
    """`middlewares`: around all routes, the outermost first; in the service around BentoML's own too. `routes`: further
    ones. `recorders`: see `Recorder`. `documents`: what further parts add to the OpenAPI document, which they change.
    `ready`: each may say why nothing can be answered. `starts`, `stops`: called as a worker starts and ends.
    """

    middlewares: Sequence[Middleware] = ()
    admission: Admission = field(default_factory=NoAdmission)
    recorders: Sequence[Recorder] = ()
    routes: Sequence[BaseRoute] = ()
    documents: Sequence[Callable[[dict[str, Any]], None]] = ()
    ready: Sequence[Callable[[], CellmarkError | None]] = ()
    starts: Sequence[Callable[[], None]] = ()
    stops: Sequence[Callable[[], None]] = ()
    extra: dict[str, Any] = field(default_factory=dict)


NO_PARTS = ServiceParts()
