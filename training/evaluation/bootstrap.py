"""95 % intervals of accuracy and macro-F1, from counts of (label, call) pairs alone."""

from typing import Literal, NamedTuple

import numpy as np

RESAMPLES = 1_000
MIN_DONORS = 5
"""With fewer donors than this cells are resampled: an interval over two or three donors says nothing."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval, both ends None where there is nothing to resample."""

    value: float
    low: float | None
    high: float | None
    over: Literal["donors", "cells"] | None


def confusion(labels: np.ndarray, calls: np.ndarray, n_types: int) -> np.ndarray:
    """Cells by label (rows) and call (columns), int, types x types. `labels`, `calls`: int [cells], from 0."""
    return np.bincount(labels * n_types + calls, minlength=n_types**2).reshape(n_types, n_types)


def accuracy_of(confusions: np.ndarray) -> np.ndarray:
    """Accuracy of each confusion matrix, [...]. `confusions`: [..., types, types]."""
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return np.asarray(right / np.maximum(confusions.sum(axis=(-2, -1)), 1))


def macro_f1_of(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 over types that have labelled cells, [...], as `evaluate` has it. `confusions`: [..., types, types]."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    labelled, called = confusions.sum(axis=-1), confusions.sum(axis=-2)
    present = labelled > 0
    f1 = 2 * right / np.maximum(labelled + called, 1)
    return np.asarray((f1 * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def intervals(
    labels: np.ndarray, calls: np.ndarray, n_types: int, *, donors: np.ndarray | None = None, seed: int
) -> tuple[Interval, Interval]:
    """Accuracy and macro-F1 with percentile intervals of `RESAMPLES` resamples.

    `labels`, `calls`: int [cells]. `donors`: [cells]; with at least `MIN_DONORS` of them whole donors are drawn,
    otherwise cells. Drawing cells with replacement is drawing their (label, call) pairs from a multinomial, so that
    resamples cost as much for a million cells as for a hundred. A type that a resample lacks does not enter its
    macro-F1.

    Where no call is wrong every resample is like the whole and would say that none ever will be. The accuracy then has
    the exact interval of cells (Clopper and Pearson 1934), 0.025^(1 / cells) to 1, and macro-F1 has none.
    """
    generator = np.random.default_rng(seed)
    whole = confusion(labels, calls, n_types)
    drawn: np.ndarray
    names = np.unique(donors if donors is not None else np.zeros(0, dtype=str))
    over: Literal["donors", "cells"]
    if donors is not None and len(names) >= MIN_DONORS:
        of_donor = np.stack([confusion(labels[donors == name], calls[donors == name], n_types) for name in names])
        times = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
        drawn, over = np.tensordot(times, of_donor, axes=1), "donors"
    else:
        pairs = np.flatnonzero(whole)
        drawn, over = np.zeros((RESAMPLES, n_types**2), dtype=np.int64), "cells"
        if len(labels):
            drawn[:, pairs] = generator.multinomial(len(labels), whole.ravel()[pairs] / len(labels), RESAMPLES)
        drawn = drawn.reshape(RESAMPLES, n_types, n_types)
    if len(labels) and (labels == calls).all():
        return Interval(1.0, float(0.025 ** (1 / len(labels))), 1.0, "cells"), Interval(1.0, None, None, None)
    found = []
    for measure in (accuracy_of, macro_f1_of):
        value = float(measure(whole))
        if len(labels) == 0:
            found.append(Interval(value, None, None, None))
            continue
        low, high = map(float, np.quantile(measure(drawn), [0.025, 0.975]))
        found.append(Interval(value, low, high, over))
    return found[0], found[1]
