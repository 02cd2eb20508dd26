"""Counts rows of the audit log."""

from typing import Literal

from .metrics import service_metrics


def audit_rows(outcome: Literal["written", "failed"], number: int) -> None:
    """So many rows were `written`, or refused since the log `failed`. A rate is not seen of a count that appears at
    one, so that the first row of either kind begins both.
    """
    counted = service_metrics().audit_records
    for name in ("written", "failed"):
        counted.labels(name).inc(number if name == outcome else 0)
