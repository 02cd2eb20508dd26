"""Counts the processes that read files, where a server counts anything: readers work for commands and Python too, which
have no metrics and should not wait for their library to be imported.
"""

import os
from typing import TYPE_CHECKING, Literal

from .multiprocess import FOLDER

if TYPE_CHECKING:
    from .metrics import ServiceMetrics


def readers_are(number: int) -> None:
    """So many processes of this worker are reading a file now."""
    if (metrics := _metrics()) is not None:
        metrics.readers.set(number)


def reader_ended(outcome: Literal["killed", "failed"]) -> None:
    """A reader ended before its work: `killed` by somebody else, or `failed` for what the file did to it."""
    if (metrics := _metrics()) is not None:
        metrics.reader_ends.labels(outcome).inc()


def _metrics() -> "ServiceMetrics | None":
    if FOLDER not in os.environ:
        return None
    from .metrics import service_metrics

    return service_metrics()
