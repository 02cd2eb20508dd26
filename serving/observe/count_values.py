"""Values into histograms, quicker than one by one: a bucket is counted up once, not once for each cell.

Uses the histogram's own buckets: prometheus_client offers no other way to add more than one at a time.
"""

from bisect import bisect_left
from collections.abc import Sequence

import numpy as np
from prometheus_client import Histogram

FEW = 4
"""So many values are counted faster one by one than by arrays."""


class Buckets:
    """Counts values by `edges`, ascending and without the infinite one, into the buckets of a histogram in that order.

    `worth`: what a value of each bucket adds to the histogram's sum, one for each edge and one above; by default its
    own value.
    """

    def __init__(self, edges: Sequence[float], worth: Sequence[float] | None = None) -> None:
        self._list = list(edges)
        self._array = np.asarray(edges, dtype=np.float64)
        self._worth = None if worth is None else np.asarray(worth, dtype=np.float64)

    def count_one(self, histogram: Histogram, value: float) -> None:
        """Count one number."""
        bucket = bisect_left(self._list, value)
        histogram._buckets[bucket].inc(1)
        histogram._sum.inc(value if self._worth is None else float(self._worth[bucket]))

    def count(self, histogram: Histogram, values: np.ndarray) -> None:
        """Count each of `values`, floats; those that are NaN are left out."""
        if len(values) <= FEW:
            for value in values.tolist():
                if value == value:  # not NaN
                    self.count_one(histogram, value)
            return
        known = values[~np.isnan(values)].astype(np.float64)
        counts = np.bincount(np.searchsorted(self._array, known, side="left"), minlength=len(self._list) + 1)
        for bucket in counts.nonzero()[0].tolist():
            histogram._buckets[bucket].inc(int(counts[bucket]))
        histogram._sum.inc(float(known.sum() if self._worth is None else counts @ self._worth))
