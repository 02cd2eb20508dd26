"""Takes BentoML's own observers out of the request's way, whose work `ObserveRequests` does.

Its metrics have one series for every path that anybody asks for (1.4.40), which a scanner fills memory with; its
tracing makes spans, an id and attributes of every request whether they are sent or not. Metrics and the access log
have settings (`service.py`); tracing has none.
"""

from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send


class Untraced:
    """Stands in for OpenTelemetry's middleware: passes everything on."""

    def __init__(self, app: ASGIApp, **settings: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def leave_requests_untraced() -> None:
    """Put `Untraced` in its place, for services that are started in this process from now on."""
    from opentelemetry.instrumentation import asgi

    asgi.OpenTelemetryMiddleware = Untraced
