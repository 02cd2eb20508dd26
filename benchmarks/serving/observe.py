"""What it costs to observe a request: the middleware with metrics and a JSON log, beside BentoML's own three.

python benchmarks/serving/observe.py --cells 1
"""

import argparse
import asyncio
import logging
import os
import tempfile
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np

CELL_TYPES = [f"type {number}" for number in range(8)]
STAGES = {"queue": 1e-6, "read": 1e-4, "check": 1e-4, "infer": 2e-4, "encode": 1e-5}
App = Callable[[Any, Any, Any], Awaitable[None]]


def request() -> dict[str, Any]:
    headers = [(b"host", b"127.0.0.1"), (b"content-type", b"application/json"), (b"content-length", b"10")]
    return {
        "type": "http", "http_version": "1.1", "scheme": "http", "method": "POST", "path": "/annotate",
        "raw_path": b"/annotate", "root_path": "", "query_string": b"", "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2), "headers": headers,
    }  # fmt: skip


async def receive() -> dict[str, Any]:
    return {"type": "http.request", "body": b""}


async def send(message: Any) -> None:
    return None


async def microseconds(app: App, n_requests: int) -> float:
    """Processor time of one request: the least of five rounds."""
    times = []
    for _ in range(5):
        began = time.process_time()
        for _ in range(n_requests):
            await app(request(), receive, send)
        times.append((time.process_time() - began) / n_requests * 1e6)
    return min(times)


def answering(n_cells: int) -> App:
    """An application that only leaves an outcome with the request."""
    from cellmark.serving.context import Outcome, context_of

    rng = np.random.default_rng(0)
    confidence, novelty = rng.random(n_cells).astype(np.float32), rng.normal(size=n_cells).astype(np.float32)
    types = {name: n_cells // len(CELL_TYPES) + 1 for name in CELL_TYPES[:n_cells]}

    async def app(scope: Any, receive: Any, send: Any) -> None:
        context = context_of(scope)
        context.model, context.model_version, context.bundle_digest = "pbmc", "3", "d"
        context.stages.update(STAGES)
        context.outcome = Outcome(n_cells, types, confidence, novelty, 0.9)
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b""})

    return app


def ours(app: App) -> App:
    from cellmark.schemas.reference_profile import LEVELS
    from cellmark.serving.observe.json_log import configure_log
    from cellmark.serving.observe.novelty_rank import buckets_of_ranks
    from cellmark.serving.observe.observe_requests import ObserveRequests
    from cellmark.serving.observe.route_names import RouteNames
    from cellmark.serving.observe.served_versions import now_serving

    configure_log("json")
    logging.getLogger("cellmark").handlers = [nowhere(logging.getLogger("cellmark").handlers[0].formatter)]
    novelty = buckets_of_ranks(np.linspace(-2, 2, len(LEVELS)))
    now_serving("pbmc", "3", "d", cell_types=CELL_TYPES, novelty=novelty)
    return ObserveRequests(app, RouteNames(["/annotate"]))


def of_bentoml(app: App) -> App:
    from bentoml._internal.container import BentoMLContainer
    from bentoml._internal.context import server_context
    from bentoml._internal.server.http.access import AccessLogMiddleware
    from bentoml._internal.server.http.instruments import RunnerTrafficMetricsMiddleware
    from opentelemetry.instrumentation.asgi import OpenTelemetryMiddleware

    server_context.bento_name, server_context.bento_version, server_context.service_routes = "x", "1", []
    logger = logging.getLogger("bentoml.access")
    logger.handlers, logger.propagate = [nowhere(logging.Formatter("%(asctime)s %(message)s"))], False
    logger.setLevel(logging.INFO)
    logged = AccessLogMiddleware(app, True, True, True, True)
    traced = OpenTelemetryMiddleware(logged, tracer_provider=BentoMLContainer.tracer_provider.get())
    return RunnerTrafficMetricsMiddleware(traced, "bentoml_service")


def nowhere(formatter: logging.Formatter | None) -> logging.Handler:
    """A handler that formats, and writes to no disk."""
    handler = logging.StreamHandler(open(os.devnull, "w"))  # noqa: SIM115
    handler.setFormatter(formatter)
    return handler


async def main(n_cells: int, n_requests: int) -> None:
    bare = answering(n_cells)
    base = await microseconds(bare, n_requests)
    for name, app in (
        ("cellmark: metrics, id, JSON log", ours(bare)),
        ("BentoML: metrics, spans, log", of_bentoml(bare)),
    ):
        await microseconds(app, n_requests // 10)
        print(f"{name}: {await microseconds(app, n_requests) - base:.0f} microseconds for a request of {n_cells} cells")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=1)
    parser.add_argument("--requests", type=int, default=1000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = folder  # before prometheus_client is imported
        asyncio.run(main(chosen.cells, chosen.requests))
