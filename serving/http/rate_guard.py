"""How often a key may ask, over all workers."""

import math
from collections.abc import Callable
from time import monotonic

from starlette.types import ASGIApp, Receive, Scope, Send

from ..context import context_of
from ..limits.refusals import too_many
from ..limits.settings import LimitSettings
from ..limits.shared_page import SharedPage
from .problems import problem
from .request_guard import PROBES

UNCOUNTED = PROBES | {"/metrics"}


class RateGuard:
    """Refuses with `RATE_EXCEEDED` (429). To stand behind the guard that finds out whose key it is; without keys the
    client's address counts.
    """

    def __init__(
        self, app: ASGIApp, settings: LimitSettings, page: SharedPage, clock: Callable[[], float] = monotonic
    ) -> None:
        self.app = app
        self._rate, self._burst = settings.rate, settings.rate_burst
        self._page, self._clock = page, clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in UNCOUNTED or not self._rate:
            await self.app(scope, receive, send)
            return
        asks = context_of(scope).key_id or (scope.get("client") or ("",))[0]
        wait = self._page.take(asks, rate=self._rate, burst=self._burst, now=self._clock())
        if wait:
            await problem(too_many(self._rate, math.ceil(wait)))(scope, receive, send)
            return
        await self.app(scope, receive, send)
