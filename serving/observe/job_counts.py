"""Shows how many durable jobs there are in each state."""

from collections.abc import Iterable, Mapping

from .metrics import ServiceMetrics, service_metrics


def jobs_are(numbers: Mapping[str, int], *, states: Iterable[str], metrics: ServiceMetrics | None = None) -> None:
    """So many jobs are kept in each of `states`; a state that `numbers` lacks has none."""
    into = metrics or service_metrics()
    for state in states:
        into.jobs.labels(state).set(numbers.get(state, 0))
