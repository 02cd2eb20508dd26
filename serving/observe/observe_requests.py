"""The outermost middleware: gives each request its id and its route, and writes down afterwards how it went.

Metrics, log line and spans are written after the answer was sent, so that nobody waits for them.
"""

import time
from collections.abc import Callable
from http import HTTPMethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..context import RequestContext, context_of
from .metrics import service_metrics
from .request_id import HEADER, request_id_of
from .request_log import log_request
from .request_metrics import RequestMetrics
from .route_names import PROBES, RouteNames
from .spans import NO_TRACING, Tracing

METHODS = frozenset(HTTPMethod)
GONE = 499
"""Status of a request whose sender left before the answer began, as nginx has it."""


class ObserveRequests:
    """`routes`: the templates of all routes. `tracing`: is called once, when the server starts."""

    def __init__(
        self,
        app: ASGIApp,
        routes: RouteNames,
        tracing: Callable[[], Tracing] = lambda: NO_TRACING,
        metrics: Callable[[], RequestMetrics] = lambda: RequestMetrics(service_metrics()),
    ) -> None:
        self.app = app
        self._routes = routes
        self._tracing = tracing()
        self._metrics = metrics()
        self._in_progress = self._metrics.in_progress

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        context.request_id = request_id_of(scope["headers"])
        context.route = self._routes.of(scope["path"])
        echoed = [(HEADER, context.request_id.encode("ascii"))]
        if context.route in PROBES:
            await self.app(scope, receive, _with_headers(send, echoed))
            return
        await self._observed(context, scope, receive, send, echoed)

    async def _observed(
        self, context: RequestContext, scope: Scope, receive: Receive, send: Send, echoed: list[tuple[bytes, bytes]]
    ) -> None:
        method = scope["method"] if scope["method"] in METHODS else "OTHER"
        span = self._tracing.begin(method, context.route, scope["headers"])
        echoed += span.headers()
        status = GONE

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), *echoed]}
            await send(message)

        self._in_progress.inc()
        try:
            await self.app(scope, receive, watch)
        except Exception:
            status, context.code = 500, "INTERNAL_ERROR"
            raise
        finally:
            self._in_progress.dec()
            seconds = time.perf_counter() - context.started
            self._metrics.count(context, context.route, status, seconds)
            log_request(context, method, context.route, status, seconds, trace_id=span.trace_id)
            span.end(context, status)


def _with_headers(send: Send, headers: list[tuple[bytes, bytes]]) -> Send:
    async def watch(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return watch
