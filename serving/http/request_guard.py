"""The first look at a request: whom it addresses, where its body ends, and how long it may take; and its last moment.

It ends the work of a request whose time is over or whose client has left: a timer and a look at the connection ask the
request's `Stop`, which whoever works for it asks between two chunks.
"""

import asyncio

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
LEAST_SECONDS = 1.0
"""That a client may ask for; less is a matter of luck on a busy machine."""
WITH_BODY = frozenset(("POST", "PUT", "PATCH"))
WATCH_AFTER = 0.05
"""Seconds of computing after which a client is looked at; most requests have been answered by then."""
SLOWEST = 16 * 1024
"""Bytes a second that a body must come at, in the long run."""
CLOSE = (b"connection", b"close")


class RequestGuard:
    """Around all routes. Refuses by `HOST_NOT_ALLOWED` and `REQUEST_INVALID`; see `RequestWatch` for the rest."""

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
        self._ending.in_flight.add(stop)
        watch = RequestWatch(receive, stop, seconds, self._settings.body_seconds, has_body=scope["method"] in WITH_BODY)
        try:
            await self.app(scope, watch, answer)
        finally:
            self._ending.in_flight.discard(stop)
            watch.end()

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
    if not LEAST_SECONDS <= seconds < float("inf"):
        raise RequestError.of(
            "REQUEST_INVALID",
            where="X-Request-Timeout",
            expected="seconds, a number from 1",
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


class RequestWatch:
    """The `receive` of one request. One timer looks at it now and then: it asks the request's `stop` when `seconds` are
    over, refuses a body that comes too slowly (`REQUEST_TIMEOUT`), and sees a client leave while its body is worked on.
    `end` is to be called in any case.
    """

    def __init__(self, receive: Receive, stop: Stop, seconds: float, body_seconds: float, *, has_body: bool) -> None:
        self._receive, self._stop = receive, stop
        self._seconds, self._body_seconds = seconds, body_seconds
        self._complete = not has_body
        self._loop = asyncio.get_running_loop()
        self._began = self._moved = self._loop.time()
        self._n_bytes = 0
        self._waiting: asyncio.Task[object] | None = None
        self._late: CellmarkError | None = None
        self._leaving: asyncio.Task[None] | None = None
        self._timer = self._loop.call_later(min(WATCH_AFTER, seconds) if has_body else seconds, self._look)

    async def __call__(self) -> Message:
        if self._complete:
            # Whoever asks again waits for the client to leave.
            await asyncio.shield(self._watch_leaving())
            return {"type": "http.disconnect"}
        self._stop.check()
        self._waiting = asyncio.current_task()
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self._late is None or self._waiting is None or self._waiting.uncancel():
                raise
            raise self._late from None
        finally:
            self._waiting = None
        if message["type"] == "http.disconnect":
            self._stop.ask(gone())
            return message
        self._moved = self._loop.time()
        self._n_bytes += len(message.get("body", b""))
        self._complete = not message.get("more_body", False)
        if not self._complete:
            self._refuse_dripping()
        return message

    def end(self) -> None:
        """The request was answered."""
        self._timer.cancel()
        if self._leaving is not None:
            self._leaving.cancel()

    def _look(self) -> None:
        now = self._loop.time()
        left = self._seconds - (now - self._began)
        if left <= 0:
            self._stop.ask(over_deadline(self._seconds))
        elif not self._complete and self._waiting is not None and now - self._moved >= self._body_seconds:
            self._stop.ask(too_slow(f"nothing of it for {self._body_seconds:g} s"))
        if self._stop.asked_for is not None:
            self._give_up(self._stop.asked_for)
            return
        if self._complete:
            self._watch_leaving()
        else:
            left = min(left, max(self._body_seconds / 10, WATCH_AFTER))
        self._timer = self._loop.call_later(left, self._look)

    def _give_up(self, why: CellmarkError) -> None:
        """Wake who waits for the body, as `asyncio.timeout` does, at a third of its cost where nobody is ever late."""
        if self._waiting is not None:
            self._late = why
            self._waiting.cancel()

    def _refuse_dripping(self) -> None:
        took = self._moved - self._began
        if took > self._body_seconds and self._n_bytes < (took - self._body_seconds) * SLOWEST:
            raise too_slow(f"{self._n_bytes:,} bytes in {took:.0f} s")

    def _watch_leaving(self) -> "asyncio.Task[None]":
        if self._leaving is None:
            self._leaving = self._loop.create_task(self._wait_for_leaving())
        return self._leaving

    async def _wait_for_leaving(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            continue
        self._stop.ask(gone())
