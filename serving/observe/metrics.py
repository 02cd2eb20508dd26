"""Every metric of the service, with its labels and buckets. `docs/metrics.md` says what each one means.

Labels take few values: routes as templates, codes of `error_codes.py`, types of the model. Nothing that a request may
choose freely (a path, a key, a gene) is ever one.
"""

import os
from functools import cache
from typing import Any

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.multiprocess import mark_process_dead

from .count_values import Buckets
from .counts_with_room import keep_room_for_counts
from .multiprocess import FOLDER

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 120.0)
"""Bounds of the buckets of times."""
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.99, 1.0)
"""Bounds of the buckets of confidence and of the panel's share."""
RANKS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
"""Bounds of the buckets of novelty, as the share of held-out cells that are less novel."""


class ServiceMetrics:
    """The families of metrics in one registry, which must not have them yet."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        def counter(name: str, meaning: str, *labels: str) -> Counter:
            return Counter(f"cellmark_{name}", meaning, labels, registry=registry)

        def gauge(name: str, meaning: str, *labels: str, mode: Any = "livesum") -> Gauge:
            return Gauge(f"cellmark_{name}", meaning, labels, registry=registry, multiprocess_mode=mode)

        def histogram(name: str, meaning: str, bounds: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"cellmark_{name}", meaning, labels, registry=registry, buckets=bounds)

        self.requests = counter("requests", "Requests answered.", "route", "status")
        self.request_seconds = histogram("request_seconds", "Time from request to end of the answer.", SECONDS, "route")
        self.stage_seconds = histogram("stage_seconds", "Time in one stage of a request.", SECONDS, "route", "stage")
        self.requests_in_progress = gauge("requests_in_progress", "Requests not answered yet.")
        self.refusals = counter("refusals", "Requests refused, by the error's code.", "route", "code")
        self.cells = counter("cells", "Cells answered.", "route", "model")
        self.calls = counter("calls", "Cells called, by type; unassigned is one.", "model", "cell_type")
        self.confidence = histogram("confidence", "Probability of the best type, by cell.", SHARES, "model")
        self.novelty_rank = histogram(
            "novelty_rank", "Share of held-out cells that are less novel, by cell.", RANKS, "model"
        )
        self.panel_share = histogram("panel_share", "Share of the panel measured, by request.", SHARES, "model")
        self.notes = counter("notes", "Requests answered with a note on the input.", "code")

        self.model_info = gauge(
            "model_info", "1 for a version that some worker serves, 0 afterwards.", "model", "version", "digest",
            mode="livemax",
        )  # fmt: skip
        self.model_workers = gauge("model_workers", "Workers that serve this version.", "model", "version")
        self.reloads = counter("reloads", "Attempts to load a version of a model.", "model", "outcome")

        self.queue_waiting = gauge("queue_waiting", "Requests that wait to be computed.")
        self.computing = gauge("computing", "Requests that are being computed.")
        self.queue_bytes = gauge("queue_bytes", "Bytes of the bodies received and not answered yet.")
        self.readers = gauge("readers", "Processes that are reading a file.")
        self.reader_ends = counter("reader_ends", "Processes that read a file, by how they ended.", "outcome")

        self.shadow_cells = counter("shadow_cells", "Cells the challenger called too.", "model", "version", "agreed")
        self.shadow_confidence = counter(
            "shadow_confidence", "Sum of confidences over these cells.", "model", "version", "side"
        )
        self.shadow_seconds = counter("shadow_seconds", "Time to score these cells.", "model", "version", "side")
        self.shadow_requests = counter("shadow_requests", "Requests for the challenger.", "model", "version", "outcome")

        self.audit_records = counter("audit_records", "Records of the audit log, by outcome.", "outcome")
        self.jobs = gauge("jobs", "Durable jobs that are kept, by state.", "state", mode="livemax")

        self.novelty_buckets: dict[str, Buckets] = {}
        """By digest of a served bundle: counts novelty by its rank (`novelty_rank.py`)."""


class Children(dict[tuple[str, ...], Any]):
    """The members of a family by their label values: a dictionary, since `labels` takes a microsecond."""

    def __init__(self, family: Counter | Gauge | Histogram) -> None:
        super().__init__()
        self._family = family

    def __missing__(self, values: tuple[str, ...]) -> Any:
        child = self[values] = self._family.labels(*values)
        return child


@cache
def service_metrics() -> ServiceMetrics:
    """The metrics of this process, made when they are first asked for: BentoML imports the service in its main process
    too, which has no folder for counts.
    """
    forget_dead_workers()
    keep_room_for_counts()
    return ServiceMetrics()


def forget_dead_workers() -> None:
    """Take the gauges of workers that were killed out of the sums: nobody else does, where none could do it itself."""
    folder = os.environ.get(FOLDER, "")
    if not folder or not os.path.isdir(folder):
        return
    pids = {name.rsplit("_", 1)[1].removesuffix(".db") for name in os.listdir(folder) if name.startswith("gauge_live")}
    for pid in pids:
        if pid.isdigit() and not os.path.exists(f"/proc/{pid}") and os.path.exists("/proc/self"):
            mark_process_dead(int(pid), folder)  # type: ignore[no-untyped-call]
