"""Around the routes: ids, counts and lines of requests, whatever becomes of them."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from prometheus_client import CollectorRegistry
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.testclient import TestClient

from cellmark.schemas.errors import RequestError
from cellmark.schemas.reference_profile import LEVELS
from cellmark.serving.context import Outcome, context_of, stage
from cellmark.serving.http.problems import EXCEPTION_HANDLERS
from cellmark.serving.observe.metrics import ServiceMetrics
from cellmark.serving.observe.novelty_rank import buckets_of_ranks
from cellmark.serving.observe.observe_requests import ObserveRequests
from cellmark.serving.observe.request_metrics import RequestMetrics
from cellmark.serving.observe.route_names import RouteNames
from cellmark.serving.observe.served_versions import no_longer_serving, now_serving
from cellmark.serving.observe.shadow_counts import count_shadow

ROUTES = ("/annotate", "/refuse", "/fail", "/jobs/{job_id}", "/livez")


@dataclass
class Observed:
    client: TestClient
    registry: CollectorRegistry
    metrics: ServiceMetrics

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"cellmark_{name}", labels)


async def annotate(request: Request) -> Response:
    context = context_of(request.scope)
    context.model, context.model_version, context.bundle_digest = "pbmc", "3", "d1"
    with stage("infer"):
        pass
    context.outcome = Outcome(
        n_cells=6,
        types={"B cell": 4, "unassigned": 2},
        confidence=np.array([0.05, 0.35, 0.95, 0.95, 1.0, 1.0], dtype=np.float32),
        novelty=np.array([-1, 0, 0, 0, 0, 9], dtype=np.float32),
        panel_share=0.85,
        codes=("LOW_OVERLAP",),
    )
    return PlainTextResponse("called")


async def refuse(request: Request) -> Response:
    raise RequestError.of("REQUEST_INVALID", where="body", expected="this", found="that", remedy="Send this.")


async def fail(request: Request) -> Response:
    raise RuntimeError("a fault of ours")


async def other(request: Request) -> Response:
    return PlainTextResponse("")


@pytest.fixture
def observed() -> Iterator[Observed]:
    registry = CollectorRegistry()
    metrics = ServiceMetrics(registry)
    endpoints = (annotate, refuse, fail, other, other)
    observing = Middleware(ObserveRequests, routes=RouteNames(ROUTES), metrics=lambda: RequestMetrics(metrics))
    app = Starlette(
        routes=[Route(path, endpoint) for path, endpoint in zip(ROUTES, endpoints, strict=True)],
        middleware=[observing],
        exception_handlers=EXCEPTION_HANDLERS,
    )
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Observed(client, registry, metrics)


def test_an_answer_is_counted_with_its_cells_types_and_stages(observed: Observed) -> None:
    novelty = buckets_of_ranks(np.linspace(-0.9, 0.9, len(LEVELS)))
    now_serving("pbmc", "3", "d1", cell_types=["B cell", "T cell"], novelty=novelty, metrics=observed.metrics)
    assert observed.client.get("/annotate").text == "called"
    assert observed.value("requests_total", route="/annotate", status="200") == 1
    assert observed.value("requests_total", route="/annotate", status="500") == 0
    assert observed.value("request_seconds_count", route="/annotate") == 1
    assert observed.value("stage_seconds_count", route="/annotate", stage="infer") == 1
    assert observed.value("cells_total", route="/annotate", model="pbmc") == 6
    types = {"B cell": 4, "T cell": 0, "unassigned": 2}
    assert {name: observed.value("calls_total", model="pbmc", cell_type=name) for name in types} == types
    assert observed.value("confidence_count", model="pbmc") == 6
    assert observed.value("confidence_bucket", model="pbmc", le="0.4") == 2
    assert observed.value("panel_share_bucket", model="pbmc", le="0.9") == 1
    assert observed.value("panel_share_bucket", model="pbmc", le="0.8") == 0
    assert observed.value("novelty_rank_sum", model="pbmc") == pytest.approx(0.025 + 4 * 0.45 + 0.975)
    assert observed.value("notes_total", code="LOW_OVERLAP") == 1
    assert observed.value("requests_in_progress") == 0


def test_a_refusal_is_counted_by_its_code(observed: Observed) -> None:
    response = observed.client.get("/refuse", headers={"X-Request-ID": "mine-1"})
    assert observed.value("refusals_total", route="/refuse", code="REQUEST_INVALID") == 1
    assert response.headers["x-request-id"] == "mine-1"
    assert response.json()["request_id"] == "mine-1"


def test_a_fault_is_counted_and_logged_with_the_id_of_its_answer(
    observed: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cellmark.requests"):
        response = observed.client.get("/fail", headers={"X-Request-ID": "mine-2"})
    assert (response.status_code, response.json()["request_id"]) == (500, "mine-2")
    assert observed.value("requests_total", route="/fail", status="500") == 1
    assert observed.value("refusals_total", route="/fail", code="INTERNAL_ERROR") == 1
    line = next(record for record in caplog.records if record.name == "cellmark.requests")
    assert line.levelname == "ERROR"
    assert "mine-2" in line.getMessage()


def test_many_paths_and_methods_make_few_series(observed: Observed) -> None:
    for number in range(50):
        observed.client.get(f"/jobs/{number}")
        observed.client.get(f"/scan/{number}.php")
        observed.client.request(f"VERB{number}", "/annotate")
    routes = {sample.labels["route"] for family in observed.registry.collect() for sample in family.samples
              if "route" in sample.labels}  # fmt: skip
    assert routes == {"/annotate", "/jobs/{job_id}", "other"}
    assert observed.value("requests_total", route="/jobs/{job_id}", status="200") == 50


def test_probes_are_neither_counted_nor_logged_but_have_an_id(
    observed: Observed, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "cellmark.requests"):
        response = observed.client.get("/livez", headers={"X-Request-ID": "probe"})
    assert response.headers["x-request-id"] == "probe"
    assert not [record for record in caplog.records if record.name == "cellmark.requests"]
    assert observed.value("requests_total", route="/livez", status="200") is None


def test_the_served_version_is_named_and_the_former_one_is_zero(observed: Observed) -> None:
    now_serving("pbmc", "3", "d1", cell_types=["B cell"], metrics=observed.metrics)
    now_serving("pbmc", "4", "d2", cell_types=["B cell"], metrics=observed.metrics)
    no_longer_serving("pbmc", "3", "d1", metrics=observed.metrics)
    assert observed.value("model_info", model="pbmc", version="4", digest="d2") == 1
    assert observed.value("model_info", model="pbmc", version="3", digest="d1") == 0
    assert observed.value("reloads_total", model="pbmc", outcome="failed") == 0


@pytest.mark.anyio
async def test_a_sender_that_leaves_is_counted_as_gone(observed: Observed) -> None:
    import anyio

    async def wait(scope: object, receive: object, send: object) -> None:
        await anyio.sleep_forever()

    app = ObserveRequests(wait, RouteNames(ROUTES), metrics=lambda: RequestMetrics(observed.metrics))
    scope = {"type": "http", "method": "POST", "path": "/annotate", "headers": []}
    async with anyio.create_task_group() as group:
        group.start_soon(app, scope, None, None)
        await anyio.lowlevel.checkpoint()
        assert observed.value("requests_in_progress") == 1
        group.cancel_scope.cancel()
    assert observed.value("requests_in_progress") == 0
    assert observed.value("requests_total", route="/annotate", status="499") == 1


def test_totals_of_a_challenger_are_counted(observed: Observed) -> None:
    totals = {"requests": 2.0, "cells": 10.0, "same_call": 9.0, "confidence_challenger": 8.0, "skipped": 1.0}
    for _ in range(2):
        count_shadow("pbmc", "4", totals, metrics=observed.metrics)
    named = {"model": "pbmc", "version": "4"}
    assert observed.value("shadow_cells_total", **named, agreed="true") == 18
    assert observed.value("shadow_cells_total", **named, agreed="false") == 2
    assert observed.value("shadow_confidence_total", **named, side="challenger") == 16
    assert observed.value("shadow_requests_total", **named, outcome="skipped") == 2
