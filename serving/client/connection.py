"""Requests to one service: its key, time limits, repeated where that helps, refusals as errors."""

import json
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import httpx

from cellmark.schemas.errors import CellmarkError, ParameterError

from .refusals import PROBLEM_JSON, refusal, unreachable
from .retry import AGAIN, AGAIN_BY_PROXY, Retry, retry_after

CONNECT_SECONDS = 10.0


@dataclass(frozen=True)
class Sent:
    """A body: `content` in memory, or the `path` of a file, which is read while it is sent."""

    media_type: str
    content: bytes | None = None
    path: Path | None = None


@dataclass
class Connection:
    """One service. Safe to use from several threads. `sleep`, `clock`: in seconds, for tests."""

    http: httpx.Client
    retry: Retry
    sleep: Callable[[float], None] = field(default=time.sleep)
    clock: Callable[[], float] = field(default=time.monotonic)

    def ask(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, sent: Sent | None = None
    ) -> dict[str, Any]:
        """The JSON of an answer. Raises what `refusal` makes of a refusal, and `RequestError` (`SERVICE_UNREACHABLE`)
        when the service does not answer within the client's patience.
        """
        response = self._answered(method, path, query or {}, sent)
        try:
            value = json.loads(response.content)
        except ValueError:
            value = None
        if not isinstance(value, dict):
            raise unreachable(str(self.http.base_url), f"an answer to {path} that is no JSON object")
        return value

    def _answered(self, method: str, path: str, query: Mapping[str, Any], sent: Sent | None) -> httpx.Response:
        name = str(uuid.uuid4())  # of the request, the same for all its tries
        headers = {"X-Request-ID": name, "Idempotency-Key": name}
        n_failed, first_failure = 0, 0.0
        while True:
            asked_to_wait = None
            try:
                response = self._send(method, path, query, headers, sent)
            except httpx.TransportError as error:
                failure: CellmarkError = unreachable(str(self.http.base_url), _in_words(error))
                # A request that takes longer than its limit takes as long once more.
                again = not isinstance(error, httpx.ReadTimeout | httpx.UnsupportedProtocol)
            else:
                if response.status_code < 300:
                    return response
                media_type = response.headers.get("content-type", "")
                failure = refusal(response.status_code, media_type, response.content, str(self.http.base_url))
                by_proxy = not media_type.startswith(PROBLEM_JSON)
                again = response.status_code in AGAIN or (by_proxy and response.status_code in AGAIN_BY_PROXY)
                asked_to_wait = retry_after(response.headers.get("retry-after"))
            n_failed += 1
            first_failure = first_failure or self.clock()
            wait = self.retry.wait(n_failed, self.clock() - first_failure, asked_to_wait) if again else None
            if wait is None:
                raise failure
            self.sleep(wait)

    def _send(
        self, method: str, path: str, query: Mapping[str, Any], headers: dict[str, str], sent: Sent | None
    ) -> httpx.Response:
        if sent is None:
            return self.http.request(method, path, params=query, headers=headers)
        headers = {**headers, "Content-Type": sent.media_type}
        if sent.path is None:
            return self.http.request(method, path, params=query, headers=headers, content=sent.content)
        with sent.path.open("rb") as file:
            headers["Content-Length"] = str(sent.path.stat().st_size)
            return self.http.request(method, path, params=query, headers=headers, content=blocks(file))


def blocks(file: IO[bytes], size: int = 1024**2) -> Iterable[bytes]:
    """A file in blocks, so that it is never in memory as a whole."""
    while block := file.read(size):
        yield block


def open_http(url: str, key: str | None, *, timeout: float, transport: httpx.BaseTransport | None) -> httpx.Client:
    """The HTTP client. It follows no redirection, so the key goes to the named service alone.

    Raises `ParameterError` for a URL or key that cannot be sent.
    """
    try:
        address = httpx.URL(url)
    except (httpx.InvalidURL, TypeError):
        address = httpx.URL()
    if address.scheme not in ("http", "https") or not address.host:
        raise _parameter("url", "such as https://annotate.example.org", repr(url), "Name the service's address.")
    if address.userinfo or address.query or address.fragment:
        raise _parameter("url", "an address without user, query or fragment", "one of them", "Hand the key in as key.")
    if key is not None and not (key and key.isascii() and key.isprintable() and " " not in key):
        raise _parameter("key", "one line of printable ASCII", "another text", "Hand in the key as it was shown.")
    # The service stops what this client no longer waits for.
    headers = {"User-Agent": "cellmark-client", "Accept": "application/json", "X-Request-Timeout": f"{timeout:g}"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    limits = httpx.Timeout(timeout, connect=min(timeout, CONNECT_SECONDS))
    return httpx.Client(base_url=url, headers=headers, timeout=limits, transport=transport)


def _parameter(where: str, expected: str, found: str, remedy: str) -> ParameterError:
    return ParameterError.of("PARAMETER_INVALID", where=where, expected=expected, found=found, remedy=remedy)


def _in_words(error: httpx.TransportError) -> str:
    if isinstance(error, httpx.TimeoutException):
        return "no answer in time" if isinstance(error, httpx.ReadTimeout) else "no connection in time"
    return str(error) or type(error).__name__
