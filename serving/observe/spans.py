"""Spans of one request: the server's, and below it one for each stage. Nothing is done where tracing is off.

OpenTelemetry's API is a dependency of BentoML; its exporters are the extra `tracing` (`tracing.py`).
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from ..context import RequestContext

Headers = Iterable[tuple[bytes, bytes]]
MOST_SPANS = 64
"""Stages that run more often than this in one request have one span each, from the first to the last."""


class RequestSpan(Protocol):
    @property
    def trace_id(self) -> str | None:
        """32 hexadecimal digits; None where there is no trace."""
        ...

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Headers of the answer that name the trace."""
        ...

    def end(self, context: "RequestContext", status: int) -> None:
        """End the span, with the request's stages below it."""
        ...


class Tracing(Protocol):
    def begin(self, method: str, route: str, headers: Headers) -> RequestSpan:
        """A span for a request whose route is known; its trace is that of the header `traceparent`, or a new one."""
        ...


class NoTracing:
    """Neither spans nor headers."""

    trace_id: str | None = None

    def begin(self, method: str, route: str, headers: Headers) -> RequestSpan:
        return self

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        return ()

    def end(self, context: "RequestContext", status: int) -> None:
        return None


NO_TRACING = NoTracing()


class SpanTracing:
    """Spans of a tracer."""

    def __init__(self, tracer: "Tracer") -> None:
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._tracer = tracer
        self._propagator = TraceContextTextMapPropagator()

    def begin(self, method: str, route: str, headers: Headers) -> RequestSpan:
        from opentelemetry.trace import SpanKind

        carrier = {
            name.decode("latin-1"): value.decode("latin-1")
            for name, value in headers
            if name in (b"traceparent", b"tracestate")
        }
        span = self._tracer.start_span(
            f"{method} {route}",
            context=self._propagator.extract(carrier),
            kind=SpanKind.SERVER,
            attributes={"http.request.method": method, "http.route": route},
        )
        return SpanOfRequest(self._tracer, span)


class SpanOfRequest:
    """The server's span of one request."""

    def __init__(self, tracer: "Tracer", span: Any) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def trace_id(self) -> str | None:
        found = self._span.get_span_context()
        return format(found.trace_id, "032x") if found.is_valid else None

    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        found = self._span.get_span_context()
        if not found.is_valid:
            return ()
        value = f"00-{found.trace_id:032x}-{found.span_id:016x}-{int(found.trace_flags):02x}"
        state = found.trace_state.to_header()
        named = [(b"traceparent", value.encode("ascii"))]
        return [*named, (b"tracestate", state.encode("latin-1"))] if state else named

    def end(self, context: "RequestContext", status: int) -> None:
        from opentelemetry.trace import Status, StatusCode, set_span_in_context

        span = self._span
        if span.is_recording():
            span.set_attributes(span_attributes(context, status))
            if status >= 500:
                span.set_status(Status(StatusCode.ERROR))
            parent = set_span_in_context(span)
            for name, began, ended in stage_spans(context.spans):
                child = self._tracer.start_span(name, context=parent, start_time=began)
                child.end(ended)
        span.end()


def span_attributes(context: "RequestContext", status: int) -> dict[str, str | int]:
    """What the server's span says of a request; never expression, genes or ids of cells."""
    attributes: dict[str, str | int | None] = {
        "http.response.status_code": status,
        "error.type": context.code,
        "cellmark.request_id": context.request_id,
        "cellmark.model": context.model,
        "cellmark.model_version": context.model_version,
        "cellmark.bundle_digest": context.bundle_digest,
        "cellmark.cells": None if context.outcome is None else context.outcome.n_cells,
    }
    return {name: value for name, value in attributes.items() if value is not None}


def stage_spans(spans: Sequence[tuple[str, int, int]]) -> Sequence[tuple[str, int, int]]:
    """The same, or one a stage from its first beginning to its last end where they are more than `MOST_SPANS`."""
    if len(spans) <= MOST_SPANS:
        return spans
    widest: dict[str, tuple[int, int]] = {}
    for name, began, ended in spans:
        first, last = widest.get(name, (began, ended))
        widest[name] = (min(first, began), max(last, ended))
    return [(name, began, ended) for name, (began, ended) in widest.items()]
