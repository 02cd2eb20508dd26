"""How far the novelty of a whole sample is shifted, and the thresholds that follow from it.

Another laboratory or chemistry makes all cells of a sample more novel; a cell that is strange within its sample is
another matter. So a called type's shift, as far as types have it in common, is added to the threshold, after it has
used up the room that the type has: how far below the threshold nearly all held-out cells called so lie. Cells of an
unknown type that are called a known one must not raise its threshold: its shift is the least of several quantiles, and
a type most of whose cells are refused has none. Where three quarters of them are, the others are most likely the
same unknown cells, and only those that are typical of the type keep it. Why this rule: docs/methods/trust.md. Arrays
in, arrays out.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from ..manifest.manifest_trust import SampleShiftEntry

LEVELS, TAIL = (0.10, 0.25, 0.50), 0.99
"""Levels of the quantiles of novelty that are kept of each called type: of its typical cells, and of nearly all."""
STRANGE = 0.5
"""Share of a type's cells above the fixed threshold, beyond which they are most likely another type."""
FOREIGN = 0.75
"""Share of a type's cells above the fixed threshold, beyond which the others are no evidence that the type is there."""
TYPICAL = LEVELS.index(0.50)
"""A foreign type's threshold: the novelty of this quantile of held-out cells called so."""
OWN = 1.5
"""How many times what types have in common a type may be raised by its own shift."""
FEWEST_OF_TYPE = 20
"""Cells called a type, of which fewer have no quantile."""
FEWEST_TYPES = 2
"""Types that have a shift: what only one shows may be another type."""
FEWEST_CELLS = 100
"""A smaller sample keeps the fixed threshold."""
DECIMALS = 3
"""Shifts are rounded to these: the last digits of novelty depend on how cells are divided into chunks."""
MOST_CELLS = 200_000
"""A larger sample is judged by this many of its cells, at even distances."""

State = Literal["shifted", "not_shifted", "beyond", "few"]


@dataclass(frozen=True)
class SampleShift:
    """What became of a sample. `shifted`: its thresholds are raised; `not_shifted`: they need not be; `beyond`: it is
    shifted further than training showed, and `few`: it cannot be judged, so that none is raised.

    `shift`: what its types have in common, None where too few of them are known and not strange; `cap`: the largest
    that counts. `thresholds`: float32 [types], of cells by their best type; those of the types `foreign`, bool [types],
    are lowered.
    """

    state: State
    shift: float | None
    cap: float
    thresholds: np.ndarray
    foreign: np.ndarray


@dataclass(frozen=True)
class TypeShifts:
    """`enough`: types that enough cells are called, and `known` those that held-out cells are too; `strange`: most of
    whose cells are above the threshold; `foreign`: of enough cells, `FOREIGN` of which are; bool [types] each.
    `shifts`: float64 [types], NaN where not known or strange.
    """

    enough: np.ndarray
    known: np.ndarray
    strange: np.ndarray
    foreign: np.ndarray
    shifts: np.ndarray

    @property
    def in_common(self) -> float | None:
        """The lower median over types, None where fewer than `FEWEST_TYPES` have a shift."""
        shifts = np.sort(self.shifts[~np.isnan(self.shifts)])
        return None if len(shifts) < FEWEST_TYPES else float(shifts[(len(shifts) - 1) // 2])


def quantiles_of_types(best: np.ndarray, novelty: np.ndarray, n_types: int, *levels: float) -> np.ndarray:
    """Quantiles of the novelty of the cells called each type, float64 [types, levels]; NaN for one of too few cells.

    `best`: int [cells], numbers of types; `novelty`: [cells], where NaN is above all others. Values that are there,
    never between two.
    """
    found = np.full((n_types, len(levels)), np.nan)
    for code in range(n_types):
        values = np.sort(np.nan_to_num(novelty[best == code].astype(np.float64), nan=np.inf, posinf=np.inf))
        if len(values) >= FEWEST_OF_TYPE:
            found[code] = values[[round(level * (len(values) - 1)) for level in levels]]
    return found


def type_shifts(best: np.ndarray, novelty: np.ndarray, *, threshold: float, reference: np.ndarray) -> TypeShifts:
    """How far each called type is shifted: the least difference of a quantile from its `reference`, that of held-out
    cells, float64 [types, levels].
    """
    n_types = len(reference)
    found = quantiles_of_types(best, novelty, n_types, *LEVELS)
    known = ~np.isnan(found).any(axis=1) & ~np.isnan(reference).any(axis=1)
    above, called = np.bincount(best[~(novelty <= threshold)], minlength=n_types), np.bincount(best, minlength=n_types)
    strange, enough = above > STRANGE * called, called >= FEWEST_OF_TYPE
    shifts = np.round((found - reference).min(axis=1), DECIMALS)
    foreign = enough & (above > FOREIGN * called)
    return TypeShifts(enough, known, strange, foreign, np.where(known & ~strange, shifts, np.nan))


def judged_cells(n_cells: int) -> np.ndarray:
    """Numbers of the cells of a sample that its shift is measured on, rising."""
    n_judged = min(n_cells, MOST_CELLS)
    rows: np.ndarray = np.arange(n_judged) * n_cells // max(n_judged, 1)
    return rows


def sample_shift(
    best: np.ndarray, novelty: np.ndarray, *, n_cells: int, threshold: float, reference: SampleShiftEntry
) -> SampleShift:
    """The shift of a sample. `best`, `novelty`: of its cells `judged_cells(n_cells)`, int and float [cells]."""
    fixed, cap = np.full(len(reference.tail), threshold, dtype=np.float32), reference.cap
    types = type_shifts(best, novelty, threshold=threshold, reference=reference.quantiles_of_types)
    shift = types.in_common
    if n_cells < FEWEST_CELLS or not types.known.any():
        return SampleShift("few", None, cap, fixed, np.zeros(len(fixed), dtype=bool))
    typical = lowered_thresholds(threshold, reference.quantiles_of_types[:, TYPICAL])
    beyond = types.strange[types.known].mean() > STRANGE if shift is None else shift > cap
    if beyond or shift is None:
        # In a sample that is beyond training as a whole, a type is doubtful sooner.
        foreign = types.foreign | (types.strange & types.enough & beyond)
        return SampleShift("beyond" if beyond else "few", shift, cap, np.where(foreign, typical, fixed), foreign)
    own = np.minimum(np.where(np.isnan(types.shifts), shift, types.shifts), min(OWN * shift, cap))
    raised = raised_thresholds(threshold, np.where(types.strange, 0.0, own), reference.tail_of_types)
    state: State = "shifted" if (raised > fixed).any() else "not_shifted"
    return SampleShift(state, shift, cap, np.where(types.foreign, typical, raised), types.foreign)


def lowered_thresholds(threshold: float, typical: np.ndarray) -> np.ndarray:
    """The threshold of each type where it is foreign to a sample, float32 [types], never above `threshold`. `typical`:
    novelty of the type's typical held-out cells, NaN where not known: then that of the least novel type.
    """
    known = np.where(np.isnan(typical), np.nanmin(typical), typical)
    return np.minimum(known, threshold).astype(np.float32)


def raised_thresholds(threshold: float, shifts: np.ndarray, tail: np.ndarray) -> np.ndarray:
    """The threshold of each called type, float32 [types]: where nearly all cells called so (`tail`, NaN: not known) lie
    after its shift, and never below `threshold`.
    """
    room = np.where(np.isnan(tail), 0.0, np.maximum(threshold - tail, 0.0))
    return np.asarray(threshold + np.maximum(shifts - room, 0.0), dtype=np.float32)
