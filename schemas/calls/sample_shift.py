"""How far the novelty of a whole sample is shifted, and the thresholds that follow from it.

Another laboratory or chemistry makes all cells of a sample more novel; a cell that is strange within its sample is
another matter. So a called type's shift, as far as it is what types have in common, is added to the threshold, after it
has used up the room that the type has: how far below the threshold nearly all held-out cells called so lie. Why this
rule: docs/methods/trust.md. Arrays in, arrays out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..manifest.manifest_trust import SampleShiftEntry

LOW, TAIL = 0.10, 0.99
"""Levels of the quantiles of novelty that are kept of each called type: its typical cells, and nearly all."""
FEWEST_OF_TYPE = 20
"""Cells called a type, of which fewer have no quantile."""
FEWEST_TYPES = 2
"""Types that have a shift: what only one shows may be another type."""
FEWEST_CELLS = 100
"""A smaller sample keeps the fixed threshold."""
MOST_CELLS = 200_000
"""Of more cells, as many at even distances are looked at."""

State = Literal["shifted", "not_shifted", "beyond", "few"]


@dataclass(frozen=True)
class SampleShift:
    """What became of a sample. `shifted`: its thresholds are raised; `not_shifted`: they need not be; `beyond`: it is
    shifted further than training showed, and `few`: it cannot be judged, so that the fixed threshold stands.

    `shift`: what its types have in common, None where it cannot be judged; `cap`: the largest that counts.
    `thresholds`: float32 [types], of cells by their best type.
    """

    state: State
    shift: float | None
    cap: float
    thresholds: np.ndarray


def quantiles_of_types(best: np.ndarray, novelty: np.ndarray, n_types: int, level: float) -> np.ndarray:
    """A quantile of the novelty of the cells called each type, float64 [types]; NaN for one of too few cells.

    `best`: int [cells], numbers of types; `novelty`: [cells], where NaN is above all others. Values that are there,
    never between two.
    """
    found = np.full(n_types, np.nan)
    for code in range(n_types):
        values = np.sort(np.nan_to_num(novelty[best == code].astype(np.float64), nan=np.inf, posinf=np.inf))
        if len(values) >= FEWEST_OF_TYPE:
            found[code] = values[round(level * (len(values) - 1))]
    return found


def shift_in_common(shifts: np.ndarray) -> float | None:
    """The lower median over types of their shifts ([types], NaN: not known), None where fewer than `FEWEST_TYPES` have
    one.
    """
    shifts = np.sort(shifts[~np.isnan(shifts)])
    return None if len(shifts) < FEWEST_TYPES else float(shifts[(len(shifts) - 1) // 2])


def judged_cells(n_cells: int) -> np.ndarray:
    """Numbers of the cells of a sample that its shift is measured on, rising."""
    n_judged = min(n_cells, MOST_CELLS)
    rows: np.ndarray = np.arange(n_judged) * n_cells // max(n_judged, 1)
    return rows


def sample_shift(
    best: np.ndarray, novelty: np.ndarray, *, n_cells: int, threshold: float, reference: SampleShiftEntry
) -> SampleShift:
    """The shift of a sample. `best`, `novelty`: of its cells `judged_cells(n_cells)`, int and float [cells]."""
    low, tail = as_quantiles(reference.low), as_quantiles(reference.tail)
    fixed = np.full(len(low), threshold, dtype=np.float32)
    shifts = quantiles_of_types(best, novelty, len(low), LOW) - low
    shift = shift_in_common(shifts) if n_cells >= FEWEST_CELLS else None
    if shift is None:
        return SampleShift("few", None, reference.cap, fixed)
    if not shift <= reference.cap:
        return SampleShift("beyond", shift, reference.cap, fixed)
    raised = raised_thresholds(threshold, np.minimum(np.where(np.isnan(shifts), shift, shifts), shift), tail)
    state: State = "shifted" if (raised > fixed).any() else "not_shifted"
    return SampleShift(state, shift, reference.cap, raised)


def raised_thresholds(threshold: float, shifts: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """The threshold of each called type, float32 [types]: where nearly all cells called so (`tail`, NaN: not known) lie
    after its shift, and never below `threshold`.
    """
    room = np.where(np.isnan(tail), 0.0, np.maximum(threshold - tail, 0.0))
    return np.asarray(threshold + np.maximum(shifts - room, 0.0), dtype=np.float32)


def as_quantiles(values: Sequence[float | None]) -> np.ndarray:
    """Float64 [types], NaN for None."""
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
