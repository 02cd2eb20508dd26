"""What a challenger does beside the served model, as metrics."""

import numpy as np

from .count_values import Buckets
from .metrics import SHIFTS, ServiceMetrics, service_metrics

OF_SHIFTS = Buckets(SHIFTS)


def count_shadow(
    model: str,
    version: str | None,
    *,
    n_agreed: int,
    shift: np.ndarray,
    seconds: float,
    metrics: ServiceMetrics | None = None,
) -> None:
    """Count a request that the challenger scored. `shift`: its confidence minus ours, float32 [cells]."""
    into, labels = metrics or service_metrics(), (model, version or "")
    into.shadow_cells.labels(*labels, "yes").inc(n_agreed)
    into.shadow_cells.labels(*labels, "no").inc(len(shift) - n_agreed)
    OF_SHIFTS.count(into.shadow_shift.labels(*labels), shift)
    into.shadow_seconds.labels(*labels).observe(seconds)


def count_skipped(model: str, *, metrics: ServiceMetrics | None = None) -> None:
    """Count a request that the challenger was to see and did not."""
    (metrics or service_metrics()).shadow_skipped.labels(model).inc()
