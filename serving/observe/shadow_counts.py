"""Counts what a challenger said of the requests that it saw too."""

from collections.abc import Mapping

from .metrics import ServiceMetrics, service_metrics

OUTCOMES = {"requests": "scored", "refused": "refused", "dropped": "dropped", "skipped": "skipped"}
"""Label of each total of requests: scored, refused by the challenger, dropped while too many waited, not for it."""
SIDES = ("champion", "challenger")


def count_shadow(
    model: str, version: str | None, totals: Mapping[str, float], *, metrics: ServiceMetrics | None = None
) -> None:
    """Add the totals of some requests. `version`: of the challenger. What is absent counts as zero.

    `cells`, and of them `same_call`; `confidence_champion`, `confidence_challenger`: sums over cells;
    `seconds_champion`, `seconds_challenger`; and requests by `OUTCOMES`.
    """
    into = metrics or service_metrics()
    named = (model, version or "")
    same, n_cells = totals.get("same_call", 0.0), totals.get("cells", 0.0)
    into.shadow_cells.labels(*named, "true").inc(same)
    into.shadow_cells.labels(*named, "false").inc(n_cells - same)
    for side in SIDES:
        into.shadow_confidence.labels(*named, side).inc(totals.get(f"confidence_{side}", 0.0))
        into.shadow_seconds.labels(*named, side).inc(totals.get(f"seconds_{side}", 0.0))
    for total, outcome in OUTCOMES.items():
        into.shadow_requests.labels(*named, outcome).inc(totals.get(total, 0.0))
