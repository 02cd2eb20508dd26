"""`GET /metrics`: the counts of all workers of this server, and what its processes take, in Prometheus' text format."""

import os

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

from .multiprocess import FOLDER
from .process_tree import ProcessTree


def metrics_page(request: Request) -> Response:
    """The page. A plain function, so that Starlette runs it in a thread: counting takes milliseconds."""
    if os.environ.get(FOLDER):
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    else:
        registry = REGISTRY  # one process, in tests
    processes = CollectorRegistry()
    processes.register(ProcessTree())
    page = generate_latest(registry) + generate_latest(processes)
    return Response(page, media_type=CONTENT_TYPE_LATEST)
