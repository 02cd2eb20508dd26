"""Is every value of a cell a whole number of equal steps? Counts leave steps behind, whatever they were scaled by."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np

Transform = Literal["none", "ln", "log2", "log10", "sqrt", "ln twice"]


@dataclass(frozen=True, slots=True)
class Inverse:
    """How to undo a transform. `largest`: values above this cannot have come from it (the counts would be absurd)."""

    undo: Callable[[np.ndarray], np.ndarray]
    largest: float


INVERSES: dict[Transform, Inverse] = {
    "none": Inverse(lambda values: values, np.inf),
    "ln": Inverse(np.expm1, 25.0),
    "log2": Inverse(lambda values: np.expm1(values * np.log(2.0)), 36.0),
    "log10": Inverse(lambda values: np.expm1(values * np.log(10.0)), 11.0),
    "sqrt": Inverse(np.square, 1e5),
    "ln twice": Inverse(lambda values: np.expm1(np.expm1(values)), 3.3),
}
"""Every transform that keeps zeros as zeros and is in use: log(x + 1) of three bases, a square root, ln(x + 1) done
twice by mistake."""

MOST_IN_SMALLEST = 6
"""The smallest value of a cell is taken to be at most this many counts."""

FITTED_UP_TO = 50
"""Steps of a value in the first fit: float32 logarithms of larger counts lose the digits that separate steps."""

REFINED_UP_TO = 1000

CLOSE = 0.05
"""Farthest from a whole number of steps, in steps; values without steps are evenly spread over 0 to 0.5."""

N_TELLING = 5
"""Different values above the smallest that a cell needs to be judged alone: that as many fall within `CLOSE` by luck
happens once in 100,000 cells."""

SAME = 1e-4
"""Values that differ by less, relatively, are one value and the errors of its digits."""


@dataclass(frozen=True, slots=True)
class CountSteps:
    """Steps of cells, [cells] each. `step`: one count, on the values' linear scale. `residue`: farthest value from a
    whole number of steps, in steps, among values of up to `FITTED_UP_TO`. `n_telling`: different values above the
    smallest, of which `n_close` are whole numbers of steps.
    """

    step: np.ndarray
    residue: np.ndarray
    n_telling: np.ndarray
    n_close: np.ndarray

    @property
    def share_close(self) -> float:
        """Share of the distinct values of all cells that are whole numbers of steps."""
        return float(self.n_close.sum() / max(self.n_telling.sum(), 1))


def find_steps(values: np.ndarray, indptr: np.ndarray) -> CountSteps:
    """The step of every cell: its smallest value, or that divided by 2, 3, ... when no gene has a single count.

    `values`: positive, on the linear scale, [entries] of a CSR without empty rows; `indptr`: its row pointers.
    """
    found = _distinct(values, indptr)
    smallest = found.values[found.starts]
    step, residue, n_telling, n_close = _fit(found, smallest)
    for parts in range(2, MOST_IN_SMALLEST + 1):
        missed = (residue >= CLOSE) & (n_telling >= N_TELLING)
        if not missed.any():
            break
        other = _fit(found.of_cells(missed), smallest[missed] / parts)
        fits = (other[1] < CLOSE) & (other[2] >= N_TELLING)
        better = np.flatnonzero(missed)[fits]
        for kept, new in zip((step, residue, n_telling, n_close), other, strict=True):
            kept[better] = new[fits]
    return CountSteps(step, residue, n_telling, n_close)


@dataclass(frozen=True, slots=True)
class _Distinct:
    """The values of cells, each once in its cell and in ascending order: normalised counts are some fifty values a
    thousand times. `repeats`: how often; `telling`: whether it is more than another value's digits, and not the cell's
    smallest. `starts` and `lengths` of the cells.
    """

    values: np.ndarray
    repeats: np.ndarray
    telling: np.ndarray
    starts: np.ndarray
    lengths: np.ndarray

    def of_cells(self, which: np.ndarray) -> "_Distinct":
        picked, lengths = np.repeat(which, self.lengths), self.lengths[which]
        starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
        return _Distinct(self.values[picked], self.repeats[picked], self.telling[picked], starts, lengths)


def _distinct(values: np.ndarray, indptr: np.ndarray) -> _Distinct:
    # Row by row, since only NumPy's plain sort is vectorised.
    ordered = np.concatenate([np.sort(values[start:end]) for start, end in pairwise(indptr)])
    is_new, is_telling = np.ones(len(ordered), dtype=bool), np.zeros(len(ordered), dtype=bool)
    is_new[1:] = ordered[1:] != ordered[:-1]
    is_telling[1:] = ordered[1:] > ordered[:-1] * (1 + SAME)
    is_new[indptr[:-1]], is_telling[indptr[:-1]] = True, False
    places = np.flatnonzero(is_new)
    starts = np.searchsorted(places, indptr[:-1])
    lengths = np.diff(np.append(starts, len(places)))
    repeats = np.diff(np.append(places, len(ordered))).astype(np.float64)
    return _Distinct(ordered[places], repeats, is_telling[places], starts, lengths)


def _fit(found: _Distinct, first: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    starts, lengths = found.starts, found.lengths
    step = first.copy()
    ratio = found.values / np.repeat(step, lengths)
    for up_to in (FITTED_UP_TO, REFINED_UP_TO):
        number = np.rint(ratio)
        weight = np.where(number <= up_to, number, 0.0)
        repeated = weight * found.repeats
        # Least squares of values = step x number, by cell.
        squares = np.add.reduceat(weight * repeated, starts)
        step = np.add.reduceat(found.values * repeated, starts) / np.maximum(squares, 1.0)
        step = np.where(step > 0, step, first)
        ratio = found.values / np.repeat(step, lengths)
    number = np.rint(ratio)
    judged = number <= FITTED_UP_TO
    off = np.where(judged, np.abs(ratio - number), 0.0)
    off[number < 1] = 0.5
    asked = judged & found.telling
    n_telling, n_close = (np.add.reduceat(which.astype(np.int64), starts) for which in (asked, asked & (off < CLOSE)))
    return step, np.maximum.reduceat(off, starts), n_telling, n_close
