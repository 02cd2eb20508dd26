"""Which requests are taken on: a body is received when there is room for it, and computed when it is its turn."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from time import monotonic

from starlette.requests import Request

from cellmark.schemas.errors import CellmarkError

from ..context import RequestContext, stage
from ..environment_settings import MIB
from ..observe.metrics import ServiceMetrics
from ..stop import Stop
from .ending import Ending
from .refusals import busy, disk_full, stopping
from .settings import LimitSettings, temporary_folder
from .shared_page import SharedPage
from .turns import Turns

LOOK_EVERY = 0.05
"""Seconds between two looks at whether another worker gave room back."""
SPARE_BYTES = 32 * MIB
"""Bytes of the disk that bodies leave free."""
FULL_SECONDS = 5
"""Seconds of refusing everybody after which a worker says that it is not ready."""
SMALL = "small"
JSON = b"application/json"


class Admission:
    """Room for bodies over all workers, and turns of this one's requests.

    `width`: requests that are computed at a time. `most_json`, `most_file`: bytes of the largest bodies, which a body
    of unknown length counts as. `free_bytes`: of the disk that bodies are kept on.
    """

    def __init__(
        self,
        settings: LimitSettings,
        *,
        width: int,
        most_json: int,
        most_file: int,
        page: SharedPage,
        ending: Ending,
        metrics: Callable[[], ServiceMetrics] | None = None,
        clock: Callable[[], float] = monotonic,
        free_bytes: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._settings, self._page, self.ending = settings, page, ending
        self._most = {True: most_json, False: most_file}
        # One body of the largest size must have room.
        self._most_bytes = max(settings.bodies_bytes, most_json, most_file)
        self._turns = Turns(width, settings.queue, clock)
        self._metrics, self._clock, self._free_bytes = metrics, clock, free_bytes
        self._n_before_room = 0

    @asynccontextmanager
    async def slot(self, request: Request, context: RequestContext) -> AsyncIterator[None]:
        """Held while a body is received and computed. Raises `SERVICE_BUSY` when there is no room for it for too long,
        and `DISK_FULL`. A small body has room at once.
        """
        is_json, declared = _body_of(request)
        most = self._most[is_json]
        n_bytes = most if declared is None else min(declared, most)
        small = n_bytes <= self._settings.small_bytes
        context.extra[SMALL] = small
        if not is_json:
            self._check_disk(n_bytes)
        if small:
            yield
            return
        with stage("queue"):
            await self._room(n_bytes, context.stop)
        self._count_bytes(n_bytes)
        try:
            yield
        finally:
            self._page.release(n_bytes)
            self._count_bytes(-n_bytes)

    def turn(self, context: RequestContext) -> "Turn":
        """Held while a received body is computed. Raises `SERVICE_BUSY` when too many wait, and the reason of the
        request's `stop`.
        """
        return Turn(self._turns, context, self._gauges())

    def why_not_ready(self) -> CellmarkError | None:
        """Why nothing can be answered at the moment; None when it can."""
        if self.ending.begun:
            return stopping()
        if self._turns.full_for() > FULL_SECONDS:
            return busy("queue", "as many that wait as may")
        if self._free_bytes(temporary_folder()) < SPARE_BYTES:
            return disk_full()
        return None

    def _gauges(self) -> ServiceMetrics | None:
        return None if self._metrics is None else self._metrics()

    def _check_disk(self, n_bytes: int) -> None:
        if self._free_bytes(temporary_folder()) < n_bytes + SPARE_BYTES:
            raise disk_full(n_bytes)

    async def _room(self, n_bytes: int, stop: Stop) -> None:
        """Wait until there is room for the body of all workers, for `queue_seconds` at most."""
        if self._page.reserve(n_bytes, self._most_bytes):
            return
        if self._n_before_room >= self._settings.queue:
            raise busy("bodies", f"{self._n_before_room} that wait already", retry_after=self._turns.retry_after(False))
        until = self._clock() + self._settings.queue_seconds
        self._n_before_room += 1
        try:
            while self._clock() < until:
                stop.check()
                await asyncio.sleep(LOOK_EVERY)
                if self._page.reserve(n_bytes, self._most_bytes):
                    return
        finally:
            self._n_before_room -= 1
        found = f"{self._page.held():,} bytes of bodies that are being received or computed"
        raise busy("bodies", found, retry_after=self._turns.retry_after(False))

    def _count_bytes(self, n_bytes: int) -> None:
        gauges = self._gauges()
        if gauges is not None:
            gauges.queue_bytes.inc(n_bytes)


def _body_of(request: Request) -> tuple[bool, int | None]:
    """Whether a body is JSON, and the bytes that its header declares; None where a compressed one may become more."""
    kind, declared, plain = None, None, True
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            # Of several the first counts, as where the body is received.
            kind = value.split(b";")[0].strip().lower() if kind is None else kind
        elif name == b"content-length" and value.isdigit():
            declared = int(value)
        elif name == b"content-encoding":
            plain = plain and value.strip().lower() == b"identity"
    return kind == JSON, declared if plain else None


class Turn:
    """See `Admission.turn`; a class, since every small request passes here."""

    def __init__(self, turns: Turns, context: RequestContext, gauges: ServiceMetrics | None) -> None:
        self._turns, self._context, self._gauges = turns, context, gauges
        self._small = context.extra.get(SMALL, True)
        self._began = 0.0

    async def __aenter__(self) -> None:
        gauges = self._gauges
        if self._turns.is_free(self._small):
            # Those that need not wait count too, or the quantiles would be of those that had to.
            self._context.stages.setdefault("queue", 0.0)
            self._began = await self._turns.enter(self._context.stop, small=self._small)
        else:
            if gauges is not None:
                gauges.queue_waiting.inc()
            try:
                with stage("queue"):
                    self._began = await self._turns.enter(self._context.stop, small=self._small)
            finally:
                if gauges is not None:
                    gauges.queue_waiting.dec()
        if gauges is not None:
            gauges.computing.inc()

    async def __aexit__(self, *_: object) -> None:
        self._turns.leave(self._began, small=self._small)
        if self._gauges is not None:
            self._gauges.computing.dec()
