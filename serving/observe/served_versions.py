"""Tells the metrics which versions of a model this worker serves."""

from .count_values import Buckets
from .metrics import ServiceMetrics, service_metrics

UNASSIGNED = "unassigned"
OUTCOMES = ("loaded", "failed", "rolled_back")
"""How an attempt to load a version may end."""


def now_serving(
    model: str,
    version: str | None,
    digest: str,
    *,
    cell_types: list[str],
    novelty: Buckets | None = None,
    metrics: ServiceMetrics | None = None,
) -> None:
    """Say that this worker answers with this version from now on. `novelty`: see `novelty_buckets`.

    Counts of its types start at zero, since a rate is not seen of a count that appears at one.
    """
    into = metrics or service_metrics()
    into.model_info.labels(model, version or "", digest).set(1)
    into.model_workers.labels(model, version or "").set(1)
    if novelty is not None:
        into.novelty_buckets[digest] = novelty
    for cell_type in (*cell_types, UNASSIGNED):
        into.calls.labels(model, cell_type).inc(0)
    for outcome in OUTCOMES:
        into.reloads.labels(model, outcome).inc(0)


def no_longer_serving(model: str, version: str | None, digest: str, *, metrics: ServiceMetrics | None = None) -> None:
    """Say that this worker does not answer with this version any more."""
    into = metrics or service_metrics()
    into.model_info.labels(model, version or "", digest).set(0)
    into.model_workers.labels(model, version or "").set(0)
    into.novelty_buckets.pop(digest, None)


def reloaded(model: str, outcome: str, *, metrics: ServiceMetrics | None = None) -> None:
    """An attempt to load a version ended: one of `OUTCOMES`."""
    (metrics or service_metrics()).reloads.labels(model, outcome).inc()
