"""Puts a row into the audit log for every request that did something, before its answer is sent; gives receipts."""

from functools import cache
from importlib.metadata import version
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.audit.entry import OK, AuditEntry, timestamp
from cellmark.schemas.errors import RequestError

from ..context import RequestContext, context_of
from ..http.problems import problem
from ..http.receipts import RECEIPT
from .group_commit import GroupCommit

READ_ONLY = ("GET", "HEAD", "OPTIONS")
RECEIPT_HEADER = b"x-cellmark-receipt"
HEAD_HEADER = b"x-cellmark-audit"


class AuditMiddleware:
    """The innermost of the middlewares. `writer`: None without a log.

    An answer is sent after its row was written, with the row as `X-Cellmark-Audit: NUMBER:HASH`; when that fails the
    answer is `AUDIT_UNAVAILABLE` (503). Answers that are not JSON carry their receipt in `X-Cellmark-Receipt`.
    """

    def __init__(self, app: ASGIApp, writer: GroupCommit | None = None) -> None:
        self.app = app
        self._writer = writer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        writer = self._writer if is_recorded(scope["method"], scope["path"]) else None
        if writer is not None:
            try:
                writer.refuse_if_broken()
            except RequestError as error:
                context.code = error.code
                await problem(error)(scope, receive, send)
                return
        started, refused = False, None

        async def record(message: Message) -> None:
            nonlocal started, refused
            if message["type"] == "http.response.start":
                started = True
                message["headers"] = [*message.get("headers", ()), *_receipt_header(message, context)]
                # An unsigned message about the registry is anybody's, and must not fill the log.
                if writer is not None and context.code != "WEBHOOK_UNSIGNED":
                    try:
                        row = await writer.write(entry_of(scope, context, message["status"]).body())
                    except RequestError as error:
                        context.code = error.code
                        refused = problem(error)
                    else:
                        message["headers"].append((HEAD_HEADER, str(row.head).encode("ascii")))
            if refused is None:
                await send(message)

        try:
            await self.app(scope, receive, record)
        except Exception:
            # A fault of ours, answered further out. The row comes first; without it the answer is 500 all the same.
            if writer is not None and not started:
                await writer.write(entry_of(scope, context, 500).body())
            raise
        if refused is not None:
            await refused(scope, receive, send)


def is_recorded(method: str, path: str) -> bool:
    """Whether a request gets a row: all that do something, and the fetching of what a job found."""
    return method not in READ_ONLY or path.endswith("/result")


def entry_of(scope: Scope, context: RequestContext, status: int) -> AuditEntry:
    """What the log keeps of a request. Paths of no route are not kept: anything may stand in them."""
    receipt: dict[str, Any] = context.extra.get(RECEIPT) or {}
    path = scope["path"][:200]
    if status in (404, 405) and context.model is None:
        # Somebody who tries the jobs of others leaves a trace, but not whatever text was tried.
        path = "/jobs/{id}" if context.code == "JOB_UNKNOWN" else "(no route)"
    return AuditEntry(
        time=receipt.get("time") or timestamp(),
        who=context.key_id,
        action=f"{scope['method']} {path}",
        verdict=OK if status < 400 else context.code or ("INTERNAL_ERROR" if status >= 500 else f"HTTP_{status}"),
        request_id=context.request_id,
        receipt=receipt.get("id"),
        model=context.model,
        model_version=context.model_version,
        bundle_digest=context.bundle_digest,
        input_digest=context.input_digest,
        options_digest=receipt.get("options_digest"),
        calls_digest=receipt.get("calls_digest"),
        n_cells=None if context.outcome is None else context.outcome.n_cells,
        service=service_version(),
    )


def _receipt_header(message: Message, context: RequestContext) -> list[tuple[bytes, bytes]]:
    receipt = context.extra.get(RECEIPT)
    kinds = [value for name, value in message.get("headers", ()) if name.lower() == b"content-type"]
    if receipt is None or message["status"] >= 400 or any(kind.startswith(b"application/json") for kind in kinds):
        return []
    return [(RECEIPT_HEADER, write_json(receipt))]


@cache
def service_version() -> str:
    """The version of cellmark that answers."""
    return version("cellmark")
