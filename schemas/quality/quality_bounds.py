"""What is normal for a cell, as ranges learned from training cells: plain numbers, no Great Expectations.

Two ranges per column, because two things go wrong. A *shifted sample* (another chemistry, shallow sequencing, dying
cells) moves the middle of the distribution; *many odd cells* (empty droplets, doublets) show in its tails.

- `cell_range`: from the 1 % to the 99 % quantile of training cells, widened (see below); nine cells in ten must lie
  in it. Single odd cells are normal, and a new sample may have a few more of them than training, where one cell in
  fifty lies outside the quantiles.
- `median_range`: from the 5 % to the 95 % quantile, hardly widened: the median of a sample, even of one sorted to a
  single common cell type, lies where training cells are found, not in their tails.

Counts differ by factors between runs of one protocol, so their ranges widen by a factor; fractions do not, so theirs
widen by a quarter of the distance between the two quantiles. Quantiles are training values themselves (no
interpolation), so training cells always meet their own ranges. Bounds are rounded outward to few digits: no cell's
exact value is published, and the last bits of a sum do not change a file's digest.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

CELL_QUANTILES = (0.01, 0.99)
MEDIAN_QUANTILES = (0.05, 0.95)
MOSTLY = 0.9
"""Share of cells that must lie in `cell_range`."""

COUNT_FACTOR = 1.5
COUNT_FACTOR_OF_MEDIAN = 1.1
FRACTION_SHARE = 0.25
LEAST_FRACTION_STEP = 0.01
"""Fractions widen by at least this much, so that a column without spread in training still allows some."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """Both ends belong to the range."""

    low: float
    high: float


def cell_range(values: np.ndarray, *, is_fraction: bool, open_below: bool = False) -> Bounds:
    """Where single cells lie. `values`: one per training cell, finite. `open_below`: small values are never a fault."""
    low, high = _quantiles(values, CELL_QUANTILES)
    if is_fraction:
        step = max(LEAST_FRACTION_STEP, FRACTION_SHARE * (high - low))
        return _fraction_bounds(0.0 if open_below else low - step, high + step)
    return _count_bounds(low / COUNT_FACTOR, high * COUNT_FACTOR)


def median_range(values: np.ndarray, *, is_fraction: bool) -> Bounds:
    """Where the median of a sample lies. `values`: one per training cell, finite."""
    low, high = _quantiles(values, MEDIAN_QUANTILES)
    if is_fraction:
        return _fraction_bounds(low - LEAST_FRACTION_STEP / 2, high + LEAST_FRACTION_STEP / 2)
    return _count_bounds(low / COUNT_FACTOR_OF_MEDIAN, high * COUNT_FACTOR_OF_MEDIAN)


def _quantiles(values: np.ndarray, quantiles: tuple[float, float]) -> tuple[float, float]:
    below, above = quantiles
    return float(np.quantile(values, below, method="lower")), float(np.quantile(values, above, method="higher"))


def _fraction_bounds(low: float, high: float) -> Bounds:
    """Within 0 and 1, rounded outward to three decimals."""
    return Bounds(max(0.0, math.floor(low * 1000) / 1000), min(1.0, math.ceil(high * 1000) / 1000))


def _count_bounds(low: float, high: float) -> Bounds:
    """Not below zero, rounded outward to three digits and whole numbers."""
    return Bounds(max(0.0, _rounded(low, math.floor)), _rounded(high, math.ceil))


def _rounded(value: float, outward: Callable[[float], int]) -> float:
    """Three digits, but no digits after the point: counts are whole."""
    if value < 1:
        return float(outward(value))
    step = 10 ** max(0, math.floor(math.log10(value)) - 2)
    return float(outward(value / step) * step)
