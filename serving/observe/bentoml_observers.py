"""Takes BentoML's own observers out of the request's way, whose work `ObserveRequests` does.

Its metrics have one series for every path that anybody asks for (1.4.40), which a scanner fills memory with; its
tracing makes spans, an id and attributes of every request whether they are sent or not. Metrics and the access log
have settings (`service.py`); tracing has none.
"""

import logging
import os
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

logger = logging.getLogger("cellmark.serving")
PROPAGATORS = "OTEL_PROPAGATORS"


class Untraced:
    """Stands in for OpenTelemetry's middleware: passes everything on."""

    def __init__(self, app: ASGIApp, **settings: Any) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def leave_requests_untraced() -> None:
    """Put `Untraced` in its place, for services that are started in this process from now on.

    BentoML builds a tracer all the same, from variables of which a wrong one would stop the service; so it gets one
    that reads none.
    """
    from bentoml._internal.configuration.containers import BentoMLContainer
    from opentelemetry.trace import NoOpTracerProvider

    drop_unknown_propagators()
    from opentelemetry.instrumentation import asgi

    BentoMLContainer.tracer_provider.set(NoOpTracerProvider())
    asgi.OpenTelemetryMiddleware = Untraced


def drop_unknown_propagators() -> None:
    """Take `OTEL_PROPAGATORS` out of the environment where OpenTelemetry would fail to be imported with it."""
    try:
        import opentelemetry.propagate  # noqa: F401
    except Exception as error:
        logger.warning("%s is not used: %s", PROPAGATORS, error)
        os.environ.pop(PROPAGATORS, None)
