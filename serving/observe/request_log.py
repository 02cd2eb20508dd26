"""One line of the log for each request: who, what, how long. Never expression, gene lists, cell ids or paths."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..context import RequestContext

logger = logging.getLogger("cellmark.requests")


@dataclass(frozen=True, slots=True)
class RequestLine:
    """A log record's message: `fields` for `JsonFormatter`, words for any other."""

    fields: dict[str, Any]

    def __str__(self) -> str:
        fields = self.fields
        words = [fields["method"], fields["route"], str(fields["status"]), f"{fields['seconds'] * 1000:.1f} ms"]
        words += [f"{fields['cells']} cells"] if fields["cells"] is not None else []
        words += [str(fields["code"])] if fields["code"] else []
        words += [f"request_id={fields['request_id']}"]
        words += [f"key_id={fields['key_id']}"] if fields["key_id"] else []
        return " ".join(words)


def log_request(
    context: "RequestContext", method: str, route: str, status: int, seconds: float, *, trace_id: str | None = None
) -> None:
    """Write the line. Faults (5xx) are errors, 503 is a warning."""
    level = logging.INFO if status < 500 else logging.WARNING if status == 503 else logging.ERROR
    if not logger.isEnabledFor(level):
        return
    outcome = context.outcome
    fields: dict[str, Any] = {
        "request_id": context.request_id,
        "key_id": context.key_id,
        "method": method,
        "route": route,
        "status": status,
        "code": context.code,
        "model": context.model,
        "model_version": context.model_version,
        "bundle_digest": context.bundle_digest,
        "cells": None if outcome is None else outcome.n_cells,
        "seconds": round(seconds, 6),
        "stages": {name: round(taken, 6) for name, taken in context.stages.items()},
        "trace_id": trace_id,
    }
    # Not `logger.log`: to find out where in the source it was called takes as long as all the rest, and says nothing.
    logger.handle(logger.makeRecord(logger.name, level, "", 0, RequestLine(fields), (), None))
