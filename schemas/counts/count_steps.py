"""Is every value of a cell a whole number of equal steps? Counts leave steps behind, whatever they were scaled by."""

from collections.abc import Callable
from dataclasses import dataclass
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
    starts, lengths = indptr[:-1].astype(np.int64), np.diff(indptr).astype(np.int64)
    smallest = np.minimum.reduceat(values, starts)
    telling = _different(values, starts, lengths)
    step, residue, n_telling, n_close = _fit(values, telling, starts, lengths, smallest)
    for parts in range(2, MOST_IN_SMALLEST + 1):
        missed = (residue >= CLOSE) & (n_telling >= N_TELLING)
        if not missed.any():
            break
        picked = np.repeat(missed, lengths)
        of_missed = lengths[missed]
        begins = np.concatenate([[0], np.cumsum(of_missed)[:-1]])
        other = _fit(values[picked], telling[picked], begins, of_missed, smallest[missed] / parts)
        fits = (other[1] < CLOSE) & (other[2] >= N_TELLING)
        better = np.flatnonzero(missed)[fits]
        for kept, found in zip((step, residue, n_telling, n_close), other, strict=True):
            kept[better] = found[fits]
    return CountSteps(step, residue, n_telling, n_close)


def _different(values: np.ndarray, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Whether an entry is the first of its value in its row, bool [entries]. The row's smallest value is left out."""
    # Row by row, since only NumPy's plain sort is vectorised; which of equal values is the first does not matter.
    bounds = zip(starts, starts + lengths, strict=True)
    order = np.concatenate([start + values[start:end].argsort() for start, end in bounds])
    ordered = values[order]
    first = np.zeros(len(values), dtype=bool)
    first[1:] = ordered[1:] > ordered[:-1] * (1 + SAME)
    first[starts] = False
    telling = np.zeros(len(values), dtype=bool)
    telling[order] = first
    return telling


def _fit(
    values: np.ndarray, telling: np.ndarray, starts: np.ndarray, lengths: np.ndarray, first: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    step = first.copy()
    ratio = values / np.repeat(step, lengths)
    for up_to in (FITTED_UP_TO, REFINED_UP_TO):
        number = np.rint(ratio)
        weight = np.where(number <= up_to, number, 0.0)
        # Least squares of values = step x number, by cell.
        step = np.add.reduceat(values * weight, starts) / np.maximum(np.add.reduceat(weight * weight, starts), 1.0)
        step = np.where(step > 0, step, first)
        ratio = values / np.repeat(step, lengths)
    number = np.rint(ratio)
    judged = number <= FITTED_UP_TO
    off = np.where(judged, np.abs(ratio - number), 0.0)
    off[number < 1] = 0.5
    asked = judged & telling
    n_telling, n_close = (np.add.reduceat(which.astype(np.int64), starts) for which in (asked, asked & (off < CLOSE)))
    return step, np.maximum.reduceat(off, starts), n_telling, n_close
