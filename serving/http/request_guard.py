"""The first look at a request: whom it addresses, where its body ends, and how long it may take; and its last moment.

It ends the work of a request whose time is over or whose client has left: a timer and a look at the connection ask the
request's `Stop`, which whoever works for it asks between two chunks.
"""

import asyncio
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellmark.schemas.api.strict_json import printable
from cellmark.schemas.errors import CellmarkError, RequestError

from ..context import context_of
from ..limits.ending import Ending
from ..limits.refusals import gone, over_deadline, too_slow, unclear_length, wrong_host
from ..limits.settings import LimitSettings
from ..stop import Stop
from .problems import problem

PROBES = frozenset(("/livez", "/readyz", "/healthz"))
"""Are asked by address, whatever name the service has, and say nothing about anybody."""
TIMEOUT_HEADER = b"x-request-timeout"
WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
WATCH_AFTER = 0.05
"""Seconds of computing after which a client is looked at; most requests have been answered by then."""
SLOWEST = 16 * 1024
"""Bytes a second that a body must come at, in the long run."""
CLOSE = (b"connection", b"close")


class RequestGuard:
    """Around all routes. Refuses by `HOST_NOT_ALLOWED` and `REQUEST_INVALID`; see `BodyReceiver` for the rest."""

    def __init__(self, app: ASGIApp, settings: LimitSettings, ending: Ending) -> None:
        self.app = app
        self._settings, self._ending = settings, ending
        self._hosts = settings.hosts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        stop = context_of(scope).stop
        answer = closing(send) if self._ending.begun else send
        try:
            seconds = self._look(scope)
        except CellmarkError as error:
            await problem(error)(scope, receive, answer)
            return
        loop = asyncio.get_running_loop()
        timer = loop.call_later(seconds, lambda: stop.ask(over_deadline(seconds)))
        self._ending.in_flight.add(stop)
        body = BodyReceiver(receive, stop, self._settings.body_seconds) if scope["method"] in WITH_BODY else None
        try:
            await self.app(scope, receive if body is None else body, answer)
        finally:
            timer.cancel()
            self._ending.in_flight.discard(stop)
            if body is not None:
                body.end()

    def _look(self, scope: Scope) -> float:
        """Seconds that the request may take. Raises `RequestError` for headers that are not accepted."""
        host = b""
        lengths = encodings = 0
        seconds = self._settings.request_seconds
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"content-length":
                lengths += 1
            elif name == b"transfer-encoding":
                encodings += 1
            elif name == TIMEOUT_HEADER:
                seconds = min(wanted_seconds(value), seconds)
        if lengths + encodings > 1:
            found = f"{lengths} Content-Length and {encodings} Transfer-Encoding"
            raise unclear_length(found)
        if self._hosts is not None and scope["path"] not in PROBES and host_name(host) not in self._hosts:
            raise wrong_host(printable(host.decode("latin-1")))
        return seconds


def host_name(host: bytes) -> str:
    """The name of a header Host, without its port, in lower case; an IPv6 address keeps its brackets."""
    text = host.decode("latin-1").strip().lower()
    name, colon, port = text.rpartition(":")
    return (name if colon and port.isdigit() else text).removesuffix(".")


def wanted_seconds(value: bytes) -> float:
    """The header's seconds. Raises `RequestError` (`REQUEST_INVALID`)."""
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < float("inf"):
        raise RequestError.of(
            "REQUEST_INVALID",
            where="X-Request-Timeout",
            expected="seconds, a number above 0",
            found=printable(value.decode("latin-1")),
            remedy="Name the seconds that you wait for an answer, such as 2.5, or omit the header.",
        )
    return seconds


def closing(send: Send) -> Send:
    """Answers that ask the client to close its connection, so that it opens the next one elsewhere."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], CLOSE]}
        await send(message)

    return send_closing


class BodyReceiver:
    """The `receive` of one request: refuses a body that comes too slowly (`REQUEST_TIMEOUT`), and looks whether the
    client is still there while its body is worked on. `end` is to be called in any case.
    """

    def __init__(self, receive: Receive, stop: Stop, seconds: float) -> None:
        self._receive, self._stop, self._seconds = receive, stop, seconds
        self._began = monotonic()
        self._n_bytes = 0
        self._complete = False
        self._timer: asyncio.TimerHandle | None = None
        self._watch: asyncio.Task[None] | None = None

    async def __call__(self) -> Message:
        if self._complete:
            # Whoever asks again waits for the client to leave.
            self._start_watch()
            assert self._watch is not None  # noqa: S101
            await asyncio.shield(self._watch)
            return {"type": "http.disconnect"}
        self._stop.check()
        try:
            async with asyncio.timeout(self._seconds):
                message = await self._receive()
        except TimeoutError:
            raise too_slow(f"nothing of it for {self._seconds:g} s") from None
        if message["type"] == "http.disconnect":
            self._stop.ask(gone())
            return message
        self._n_bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._complete = True
            self._timer = asyncio.get_running_loop().call_later(WATCH_AFTER, self._start_watch)
            return message
        took = monotonic() - self._began
        if took > self._seconds and self._n_bytes < (took - self._seconds) * SLOWEST:
            raise too_slow(f"{self._n_bytes:,} bytes in {took:.0f} s")
        return message

    def end(self) -> None:
        """The request was answered."""
        if self._timer is not None:
            self._timer.cancel()
        if self._watch is not None:
            self._watch.cancel()

    def _start_watch(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().create_task(self._wait_for_leaving())

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._stop.ask(gone())
