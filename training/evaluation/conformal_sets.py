"""Split-conformal label sets: which types a cell may be, with a stated error rate."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SetThresholds:
    """`thresholds`: of the probability, [types]: a set holds the types that reach theirs. `pooled`: bool [types], types
    with too few cells for a threshold of their own.
    """

    thresholds: np.ndarray
    pooled: np.ndarray


def fit_set_thresholds(
    probabilities: np.ndarray, codes: np.ndarray, *, error_rate: float, donors: np.ndarray | None = None
) -> SetThresholds:
    """Thresholds that leave the label out for at most `error_rate` of cells like these, of each type.

    `probabilities`: cells x types, of networks that did not see these cells; `codes`: int [cells]. A type's threshold
    is the k-th smallest probability of the label among its cells, k = floor(error_rate (n + 1)); where that is 0 for a
    type, all cells together give it (Vovk 2012, arXiv:1209.2673: Mondrian, or label-conditional, conformal predictors).

    `donors`: int [cells], numbers of the donors (or groups of them) that were held out together. Cells of one donor are
    no draw from those of another, so each donor by itself must keep the promise: no threshold is above what any one
    donor's cells give together, of too few cells the smallest probability. On donors that took no part in the fit this
    covered .991 of pancreatic cells at 1 %, without it .984 (docs/trust.md).
    """
    n_types = probabilities.shape[1]
    of_label = probabilities[np.arange(len(codes)), codes]
    together = _threshold(of_label, error_rate)
    own = [_threshold(of_label[codes == code], error_rate) for code in range(n_types)]
    pooled = np.array([value is None for value in own])
    # Without enough cells at all the only honest set is all types.
    fallback = 0.0 if together is None else together
    thresholds = np.array([fallback if value is None else value for value in own])
    for donor in np.unique(donors) if donors is not None else ():
        of_donor = of_label[donors == donor]
        strict = _threshold(of_donor, error_rate)
        thresholds = np.minimum(thresholds, of_donor.min() if strict is None else strict)
    return SetThresholds(thresholds, pooled)


def label_sets(probabilities: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Which types each cell's set holds, bool, cells x types: those that reach their threshold, and always the best."""
    found = probabilities >= thresholds
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found)


def _threshold(of_label: np.ndarray, error_rate: float) -> float | None:
    place = int(np.floor(error_rate * (len(of_label) + 1) + 1e-9))
    return None if place < 1 else float(np.partition(of_label, place - 1)[place - 1])
