"""Refusals as RFC 9457 `application/problem+json`, also those of the server around our routes, without time limit."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellmark.schemas.api.strict_json import printable, write_json
from cellmark.schemas.error_codes import CODES
from cellmark.schemas.errors import CellmarkError, Finding, RequestError

from ..context import current

PROBLEM_JSON = "application/problem+json"
TYPE_PREFIX = "urn:cellmark:error:"
LONGEST_TEXT = 1000
LONGEST_EXAMPLE = 100
MOST_FINDINGS = 50
RETRY_AFTER = {429: "1", 503: "2", 507: "30"}
"""Seconds after which it is worth to ask again, by status, where the error does not say."""

logger = logging.getLogger("cellmark.serving")


def problem(error: CellmarkError, headers: dict[str, str] | None = None) -> Response:
    """The answer to a refused request."""
    findings = [shortened(finding) for finding in error.findings[:MOST_FINDINGS]]
    others = len(error.findings) - 1
    more = f" ({others} more in `findings`)" if others else ""
    body = {
        "type": TYPE_PREFIX + error.code,
        "title": CODES[error.code].meaning,
        "status": error.status,
        "detail": str(findings[0]) + more,
        "code": error.code,
        "findings": [finding.to_dict() for finding in findings],
        "request_id": None,
    }
    if (context := current()) is not None:
        context.code = error.code
        body["request_id"] = context.request_id
    all_headers = {name.lower(): value for name, value in {**error.headers, **(headers or {})}.items()}
    if error.status in RETRY_AFTER:
        all_headers.setdefault("retry-after", RETRY_AFTER[error.status])
    return Response(write_json(body), error.status, all_headers, PROBLEM_JSON)


def shortened(finding: Finding) -> Finding:
    """The same finding, with at most a few lines of what may come from the request."""

    def cut(text: str) -> str:
        return text if len(text) <= LONGEST_TEXT else text[:LONGEST_TEXT] + "…"

    return replace(
        finding,
        where=cut(finding.where),
        expected=cut(finding.expected),
        found=cut(finding.found),
        remedy=cut(finding.remedy),
        examples=tuple(printable(text, longest=LONGEST_EXAMPLE) for text in finding.examples),
    )


def of_status(status: int, path: str, method: str) -> CellmarkError:
    """Our error for a refusal of the web framework's."""
    where = printable(f"{method} {path}")
    match status:
        case 404:
            finding = Finding(
                "ROUTE_UNKNOWN",
                where=where,
                expected="a route of the service",
                found="another path",
                remedy="GET /openapi.json lists all routes.",
            )
        case 405:
            finding = Finding(
                "METHOD_NOT_ALLOWED",
                where=where,
                expected="a method that the header Allow names",
                found=method,
                remedy="GET /openapi.json lists the methods of every route.",
            )
        case 503:
            finding = Finding(
                "SERVICE_NOT_READY",
                where=where,
                expected="a service that is ready",
                found="one that is not",
                remedy="Ask again in a moment.",
            )
        case _ if 400 <= status < 500:
            finding = Finding(
                "REQUEST_INVALID",
                where=where,
                expected="a request as documented",
                found=f"one refused with status {status}",
                remedy="GET /openapi.json describes every route.",
            )
        case _:
            finding = Finding(
                "INTERNAL_ERROR",
                where=where,
                expected="an answer",
                found="an internal error of cellmark",
                remedy="Report it with the service's log; nothing is wrong with the request.",
            )
    return RequestError(finding)


async def answer_cellmark_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, CellmarkError)  # noqa: S101
    return problem(error)


async def answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    return problem(of_status(error.status_code, request.url.path, request.method), dict(error.headers or {}))


async def answer_disconnect(request: Request, error: Exception) -> Response:
    return Response(status_code=400)  # nobody is there to read it


async def answer_fault(request: Request, error: Exception) -> Response:
    # Starlette raises the exception again after this answer, so the server logs its traceback.
    return problem(of_status(500, request.url.path, request.method))


EXCEPTION_HANDLERS = {
    CellmarkError: answer_cellmark_error,
    HTTPException: answer_http_exception,
    ClientDisconnect: answer_disconnect,
    Exception: answer_fault,
}


class ProblemMiddleware:
    """Turns refusals of BentoML's own routes and of its router (404, 405, 503) into problems; others pass.

    `explain`: asked for the error of a status 503, so that /readyz says what the model lacks.
    """

    def __init__(self, app: ASGIApp, explain: Callable[[], CellmarkError | None] = lambda: None) -> None:
        self.app = app
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        replaced: Response | None = None

        async def watch(message: Message) -> None:
            nonlocal replaced
            if message["type"] == "http.response.start" and message["status"] >= 400:
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in message["headers"]}
                if headers.get("content-type", "").split(";")[0] != PROBLEM_JSON:
                    replaced = self._replacement(message["status"], scope, headers)
            if replaced is None:
                await send(message)

        await self.app(scope, receive, watch)
        if replaced is not None:
            await replaced(scope, receive, send)

    def _replacement(self, status: int, scope: Scope, headers: dict[str, str]) -> Response:
        error = self._explain() if status == 503 else None
        kept = {name: value for name, value in headers.items() if name in ("allow", "retry-after")}
        return problem(error or of_status(status, scope["path"], scope["method"]), kept)


def without_path(findings: Iterable[Finding], prefix: str) -> tuple[Finding, ...]:
    """Findings without a path of this machine: `prefix` is taken out wherever it stands."""
    return tuple(
        replace(
            finding,
            where=finding.where.replace(prefix, ""),
            expected=finding.expected.replace(prefix, ""),
            found=finding.found.replace(prefix, ""),
            remedy=finding.remedy.replace(prefix, ""),
        )
        for finding in findings
    )


class UntimedRequests:
    """Stands in for BentoML's `TimeoutMiddleware`: passes everything on.

    BentoML's timer is never cancelled (1.4.40), and holds about 5 kB of every request for as long as the longest may
    take: for a limit of a day, gigabytes on a busy service. It cannot be switched off by a setting. How long to wait is
    the client's to say, and the reading of files has limits of its own.
    """

    def __init__(self, app: ASGIApp, timeout: float) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.app(scope, receive, send)


def leave_requests_untimed() -> None:
    """Put `UntimedRequests` in the limit's place, for services that are started in this process from now on."""
    from bentoml._internal.server.http import traffic

    traffic.TimeoutMiddleware = UntimedRequests
