"""The median of a column of many shards, exact, in memory that does not grow with the cells."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

HALF = 1 << 16
Values = Callable[[], Iterator[np.ndarray]]


def median_of_shards(paths: Sequence[Path], column: str) -> float:
    """The median of a column of float32 that is nowhere negative, as `numpy.median` gives it: NaN where one is, or
    where there is none. It is read up to three times, a row group at a time.
    """

    def values() -> Iterator[np.ndarray]:
        for path in paths:
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    yield file.read_row_group(group, columns=[column]).column(0).to_numpy()

    return exact_median(values)


def exact_median(values: Values) -> float:
    """The same of arrays; `values` gives them anew at each call.

    Numbers that are not negative have the order of their bits, so the upper halves of the bits are counted first, then
    the lower halves of those numbers that have the upper half of the one in the middle.
    """
    upper = np.zeros(HALF, dtype=np.int64)
    for some in values():
        if np.isnan(some).any():
            return float("nan")
        upper += np.bincount(_bits(some) >> 16, minlength=HALF)
    n_values = int(upper.sum())
    if n_values == 0:
        return float("nan")
    middle = sorted({(n_values - 1) // 2, n_values // 2})
    return float(np.mean(np.array([_at(rank, upper, values) for rank in middle], dtype=np.float32)))


def _at(rank: int, upper: np.ndarray, values: Values) -> np.float32:
    """The number with `rank` smaller ones before it, in their order."""
    ends = np.cumsum(upper)
    half = int(np.searchsorted(ends, rank, side="right"))
    lower = np.zeros(HALF, dtype=np.int64)
    for some in values():
        bits = _bits(some)
        lower += np.bincount(bits[bits >> 16 == half] & (HALF - 1), minlength=HALF)
    rest = rank - int(ends[half] - upper[half])
    found = half << 16 | int(np.searchsorted(np.cumsum(lower), rest, side="right"))
    return np.float32(np.array([found], dtype=np.uint32).view(np.float32)[0])


def _bits(values: np.ndarray) -> np.ndarray:
    # Zero may have a sign, which adding zero takes away.
    return (np.asarray(values, dtype=np.float32) + np.float32(0)).view(np.uint32)
