"""BentoML without its time limit on requests, which keeps about 5 kB of every request until that time has passed.

Its timer is never cancelled (1.4.40), and holds the request's trace and context for as long as the longest request may
take: for a limit of a day, gigabytes on a busy service. It cannot be switched off by a setting. How long to wait is the
client's to say, and the reading of files has limits of its own.
"""

from starlette.types import ASGIApp, Receive, Scope, Send


class UntimedRequests:
    """Stands in for BentoML's `TimeoutMiddleware`: passes everything on."""

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def leave_requests_untimed() -> None:
    """Put `UntimedRequests` in the limit's place, for services that are started in this process from now on."""
    from bentoml._internal.server.http import traffic

    traffic.TimeoutMiddleware = UntimedRequests
