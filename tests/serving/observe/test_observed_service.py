"""What a service with two workers says of itself: counts of both, a log of JSON alone, spans, and nothing of cells."""

import json
import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families
from running_service import Server, serve

from cellmark.schemas.bundle import Bundle

SECONDS = 60
TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class Collector:
    """Takes spans as an OpenTelemetry collector does."""

    url: str = ""
    bodies: list[bytes] = field(default_factory=list)

    def spans(self) -> list[Any]:
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        taken = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span
            for request in taken
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
        ]


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    taken = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            taken.bodies.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    taken.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield taken
    server.shutdown()


@pytest.fixture(scope="module")
def service(tiny_bundle: Bundle, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    variables = {
        "CELLMARK_LOG": "json",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_EXPORTER_OTLP_COMPRESSION": "none",
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_PROPAGATORS": "nonsense",
        "OTEL_SPAN_LINK_COUNT_LIMIT": "128",
    }
    folder = tmp_path_factory.mktemp("observed")
    with serve(tiny_bundle.folder, folder, "--workers", "2", **variables) as server:
        until(lambda: metric(server, "cellmark_model_workers") == 2)
        yield server


@pytest.fixture
def cell(tiny_bundle: Bundle) -> dict[str, Any]:
    genes = list(tiny_bundle.panel.symbols)
    return {"genes": genes, "cells": [{"cell_id": "SECRET-CELL", "counts": {genes[0]: 31, genes[1]: 17}}]}


def metric(server: Server, name: str, **labels: str) -> float:
    """The value of the page's one sample, 0 where there is none."""
    page = httpx.get(server.url + "/metrics").text
    samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]
    found = [sample.value for sample in samples if sample.name == name and labels.items() <= sample.labels.items()]
    return sum(found)


def until(truth: Any) -> None:
    deadline = time.monotonic() + SECONDS
    while not truth():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def log_lines(server: Server) -> list[dict[str, Any]]:
    """The log's lines, without that of the command that starts the server."""
    lines = server.log.read_text().splitlines()
    return [json.loads(line) for line in lines if not line.startswith("Serving ")]


def test_counts_of_both_workers_are_one_sum(service: Server, cell: dict[str, Any]) -> None:
    asked = {"route": "/annotate", "status": "200"}
    before = metric(service, "cellmark_requests_total", **asked)
    for _ in range(20):  # each over a connection of its own, which either worker may take
        assert httpx.post(service.url + "/annotate", json=cell, timeout=SECONDS).status_code == 200
    until(lambda: metric(service, "cellmark_requests_total", **asked) == before + 20)
    assert metric(service, "cellmark_requests_in_progress") == 0
    assert metric(service, "cellmark_processes") >= 3
    assert metric(service, "cellmark_memory_bytes") > 10**8


def test_each_line_of_the_log_is_json_and_none_holds_cells_or_genes(service: Server, cell: dict[str, Any]) -> None:
    httpx.post(service.url + "/annotate", json=cell, headers={"X-Request-ID": "logged-1"}, timeout=SECONDS)
    httpx.post(service.url + "/annotate", json={"cells": []}, headers={"X-Request-ID": "logged-2"}, timeout=SECONDS)
    wanted = {"logged-1", "logged-2"}
    until(lambda: wanted <= {line.get("request_id") for line in log_lines(service)})
    lines = {line.get("request_id"): line for line in log_lines(service)}
    assert lines["logged-1"]["route"] == "/annotate"
    assert (lines["logged-2"]["status"], lines["logged-2"]["code"]) == (422, "NO_CELLS")
    text = service.log.read_text()
    assert "SECRET-CELL" not in text
    assert not [gene for gene in cell["genes"] if re.search(rf"\b{gene}\b", text)]


def test_a_request_is_one_trace_under_its_caller(service: Server, collector: Collector, cell: dict[str, Any]) -> None:
    answer = httpx.post(service.url + "/annotate", json=cell, headers={"traceparent": PARENT}, timeout=SECONDS)
    assert re.fullmatch(rf"00-{TRACE}-[0-9a-f]{{16}}-01", answer.headers["traceparent"])
    until(lambda: any(span.trace_id.hex() == TRACE for span in collector.spans()))
    spans = [span for span in collector.spans() if span.trace_id.hex() == TRACE]
    servers = [span for span in spans if span.kind == 2]
    assert [span.name for span in servers] == ["POST /annotate"]
    assert servers[0].parent_span_id.hex() == "b7ad6b7169203331"
    assert {span.parent_span_id for span in spans} <= {servers[0].parent_span_id, servers[0].span_id}
    assert "SECRET-CELL" not in str(spans)


def test_probes_have_no_spans(service: Server, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert "traceparent" not in httpx.get(service.url + path).headers
    httpx.get(service.url + "/model")
    until(lambda: any(span.name == "GET /model" for span in collector.spans()))
    assert not [span for span in collector.spans() if re.search("livez|readyz|metrics", span.name)]


def test_a_wrong_setting_of_tracing_is_a_warning(service: Server) -> None:
    assert any("OTEL_PROPAGATORS" in line.get("message", "") for line in log_lines(service))


def test_a_worker_that_is_killed_takes_its_gauges_along(service: Server) -> None:
    assert metric(service, "cellmark_model_workers") == 2
    worker = next(
        pid for pid in service.lasting if b"_bentoml_impl.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    os.kill(worker, signal.SIGKILL)
    until(lambda: worker not in service.pids() and len(service.pids()) >= len(service.lasting))
    until(lambda: metric(service, "cellmark_model_workers") == 2)
