"""uvicorn's protocol, with an end to connections on which the headers of a request never become complete.

uvicorn waits for them as long as the connection lasts, so a few thousand slow clients would hold all its files.
"""

import asyncio
from typing import Any

from uvicorn import config
from uvicorn.protocols.http.auto import AutoHTTPProtocol

from cellmark.schemas.errors import CellmarkError, RequestError

from ..limits.refusals import too_slow
from .problems import PROBLEM_JSON, problem

LINES = {400: b"HTTP/1.1 400 Bad Request\r\n", 408: b"HTTP/1.1 408 Request Timeout\r\n"}


class TimedProtocol(AutoHTTPProtocol):  # type: ignore[valid-type, misc]
    """Gives a client `header_seconds` from its connection, or from the first byte of a later request."""

    header_seconds = 10.0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._n_received = 0
        self._timer: asyncio.TimerHandle | None = None
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        self._n_received += len(data)
        super().data_received(data)
        if self.cycle is None or self.cycle.response_complete:
            self._start_timer()
        else:
            self._stop_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Answer bytes that are not an HTTP request."""
        self._refuse(
            RequestError.of(
                "REQUEST_INVALID",
                where="request",
                expected="an HTTP request",
                found="other bytes, or headers that contradict each other",
                remedy="GET /openapi.json describes every route.",
            )
        )

    def _start_timer(self) -> None:
        if self._timer is None and not self.transport.is_closing():
            self._timer = asyncio.get_running_loop().call_later(self.header_seconds, self._too_late)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_late(self) -> None:
        self._timer = None
        if self.transport.is_closing():
            return
        if self._n_received == 0 or self.cycle is not None:  # nobody asked anything, or the last answer is out
            self.transport.close()
            return
        self._refuse(too_slow(f"headers that were not complete after {self.header_seconds:g} s"))

    def _refuse(self, error: CellmarkError) -> None:
        answer = problem(error)
        headers = [(b"content-type", PROBLEM_JSON.encode()), (b"content-length", str(len(answer.body)).encode())]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in [*headers, (b"connection", b"close")])
        self.transport.write(LINES[error.status] + lines + b"\r\n" + bytes(answer.body))
        self.transport.close()


def limit_headers(seconds: float) -> None:
    """Let servers that are started in this process from now on use the protocol above."""
    TimedProtocol.header_seconds = seconds
    config.HTTP_PROTOCOLS["auto"] = f"{TimedProtocol.__module__}:{TimedProtocol.__name__}"
