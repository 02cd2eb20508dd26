"""Counts one request into the metrics. Runs for every request, so all label values are looked up once and kept."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from .count_values import Buckets
from .metrics import SECONDS, SHARES, Children, ServiceMetrics

if TYPE_CHECKING:
    from ..context import Outcome, RequestContext

OF_SECONDS, OF_SHARES = Buckets(SECONDS), Buckets(SHARES)
USUAL_STATUS = ("200", "422", "500", "503")
"""A route's counts of these start at zero: a rate is not seen of a count that appears at one."""


class RequestMetrics:
    """Counts into `metrics`."""

    def __init__(self, metrics: ServiceMetrics) -> None:
        self._novelty = metrics.novelty_buckets
        self.in_progress = metrics.requests_in_progress
        self._requests = Children(metrics.requests)
        self._seconds = Children(metrics.request_seconds)
        self._stages = Children(metrics.stage_seconds)
        self._refusals = Children(metrics.refusals)
        self._cells = Children(metrics.cells)
        self._calls = Children(metrics.calls)
        self._confidence = Children(metrics.confidence)
        self._ranks = Children(metrics.novelty_rank)
        self._panel_share = Children(metrics.panel_share)
        self._notes = Children(metrics.notes)
        self._routes: set[str] = set()

    def count(self, context: "RequestContext", route: str, status: int, seconds: float) -> None:
        """Count a request that was answered with `status` after `seconds`."""
        if route not in self._routes:
            self._routes.add(route)
            for usual in USUAL_STATUS:
                self._requests[route, usual].inc(0)
        self._requests[route, str(status)].inc()
        OF_SECONDS.count_one(self._seconds[route,], seconds)
        for stage, taken in context.stages.items():
            OF_SECONDS.count_one(self._stages[route, stage], taken)
        if context.code is not None:
            self._refusals[route, context.code].inc()
        if context.outcome is not None:
            self._count_outcome(context.outcome, route, context.model or "", context.bundle_digest or "")

    def _count_outcome(self, outcome: "Outcome", route: str, model: str, digest: str) -> None:
        self._cells[route, model].inc(outcome.n_cells)
        self._count_types(outcome.types, model)
        if outcome.confidence is not None:
            OF_SHARES.count(self._confidence[model,], outcome.confidence)
        novelty = self._novelty.get(digest)
        if outcome.novelty is not None and novelty is not None:
            novelty.count(self._ranks[model,], outcome.novelty)
        if outcome.panel_share is not None:
            OF_SHARES.count_one(self._panel_share[model,], outcome.panel_share)
        for code in outcome.codes:
            self._notes[code,].inc()

    def _count_types(self, types: Mapping[str, int], model: str) -> None:
        for cell_type, n_cells in types.items():
            self._calls[model, cell_type].inc(n_cells)
