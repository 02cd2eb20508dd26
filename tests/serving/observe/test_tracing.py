"""Tracing is off until a standard variable asks for it, and a wrong one never stops the service."""

import logging
from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cellmark.serving.context import Outcome, RequestContext
from cellmark.serving.observe.spans import MOST_SPANS, NO_TRACING, SpanTracing, stage_spans
from cellmark.serving.observe.tracing import exporter_names, tracing_of_environment

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@pytest.fixture
def spans() -> Iterator[tuple[SpanTracing, InMemorySpanExporter]]:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    yield SpanTracing(provider.get_tracer("test")), kept
    provider.shutdown()


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({}, ()),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, ()),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4317"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://collector:4317"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "OTLP, console"}, ("otlp", "console")),
    ],
)
def test_exporters_are_those_of_the_standard_variables(variables: dict[str, str], names: tuple[str, ...]) -> None:
    assert exporter_names(variables) == names


@pytest.mark.parametrize(
    "variables",
    [
        {"OTEL_TRACES_EXPORTER": "zipkin"},
        {"OTEL_TRACES_EXPORTER": "none,otlp"},
        {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "smoke"},
    ],
)
def test_a_wrong_setting_is_a_warning(variables: dict[str, str], caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, "cellmark.serving"):
        assert tracing_of_environment(variables) is NO_TRACING
    assert "No traces are sent" in caplog.text


def test_exporters_that_are_not_installed_are_a_warning_with_the_command(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "opentelemetry.exporter.otlp.proto.grpc.trace_exporter", None)
    with caplog.at_level(logging.WARNING, "cellmark.serving"):
        assert tracing_of_environment({"OTEL_TRACES_EXPORTER": "otlp"}) is NO_TRACING
    assert "pip install 'cellmark[tracing]'" in caplog.text


def test_the_sdk_can_be_switched_off() -> None:
    assert tracing_of_environment({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}) is NO_TRACING


def test_a_request_is_one_server_span_with_its_stages_below(spans: tuple[SpanTracing, InMemorySpanExporter]) -> None:
    tracing, kept = spans
    context = RequestContext(model="pbmc", model_version="3", outcome=Outcome(n_cells=7))
    context.spans += [("read", 10, 20), ("infer", 20, 50)]
    span = tracing.begin("POST", "/annotate", [(b"traceparent", PARENT.encode()), (b"authorization", b"secret")])
    headers = dict(span.headers())
    span.end(context, 200)
    *stages, server = kept.get_finished_spans()
    assert server.kind == SpanKind.SERVER
    assert server.name == "POST /annotate"
    assert server.context is not None
    assert format(server.context.trace_id, "032x") == TRACE
    assert headers[b"traceparent"] == f"00-{TRACE}-{server.context.span_id:016x}-01".encode()
    assert dict(server.attributes or {})["cellmark.cells"] == 7
    assert "secret" not in server.to_json()
    assert [(stage.name, stage.start_time, stage.end_time) for stage in stages] == context.spans
    assert {stage.parent.span_id for stage in stages if stage.parent} == {server.context.span_id}


def test_a_fault_is_an_error_and_a_refusal_is_not(spans: tuple[SpanTracing, InMemorySpanExporter]) -> None:
    tracing, kept = spans
    for status in (500, 422):
        tracing.begin("POST", "/annotate", []).end(RequestContext(code="COUNTS_NEGATIVE"), status)
    codes = [span.status.status_code for span in kept.get_finished_spans()]
    assert codes == [StatusCode.ERROR, StatusCode.UNSET]


@pytest.mark.parametrize("header", [b"", b"nonsense", b"00-" + b"0" * 32 + b"-" + b"0" * 16 + b"-01", b"\xff"])
def test_a_broken_traceparent_begins_a_new_trace(
    header: bytes, spans: tuple[SpanTracing, InMemorySpanExporter]
) -> None:
    tracing, kept = spans
    tracing.begin("GET", "/model", [(b"traceparent", header)]).end(RequestContext(), 200)
    assert kept.get_finished_spans()[0].parent is None


def test_many_chunks_are_one_span_a_stage() -> None:
    many = [("infer", start, start + 5) for start in range(MOST_SPANS)] + [("encode", 500, 600)]
    assert stage_spans(many) == [("infer", 0, MOST_SPANS + 4), ("encode", 500, 600)]
    assert stage_spans(many[:3]) == many[:3]
