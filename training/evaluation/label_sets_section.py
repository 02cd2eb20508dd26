"""The manifest's section `label_sets`: split-conformal sets of types, with thresholds for each error
rate, and what they give on other cells.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from cellmark.schemas.manifest.manifest_trust import LabelSetsEntry, flattened

from .calibration_section import cross_calibrated
from .out_of_fold import OutOfFold

ERROR_RATES = (0.01, 0.05)
DEFAULT_ERROR_RATE = 0.01
FLATTENING = 4.0
"""Flattening of the probabilities that sets are drawn by, chosen on training donors (docs/methods/trust.md)."""


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
    covered .991 of pancreatic cells at 1 %, without it .984 (docs/methods/trust.md).
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
    """The types in each cell's set, bool, cells x types: those that reach their threshold, and always the best."""
    found = probabilities >= thresholds
    found[np.arange(len(found)), probabilities.argmax(axis=1)] = True
    return np.asarray(found)


def _threshold(of_label: np.ndarray, error_rate: float) -> float | None:
    place = int(np.floor(error_rate * (len(of_label) + 1) + 1e-9))
    return None if place < 1 else float(np.partition(of_label, place - 1)[place - 1])


def label_sets_section(
    held_out: OutOfFold,
    codes: np.ndarray,
    cell_types: Sequence[str],
    *,
    temperature: float,
    test: np.ndarray,
    test_probabilities: np.ndarray,
) -> dict[str, Any] | None:
    """As `LabelSetsEntry`; None where no fold could be judged.

    `codes`: int [cells], numbers of `cell_types`. `temperature`: of the registered model. `test`: numbers of the test
    cells; `test_probabilities`: calibrated, test cells x types.
    """
    cells = held_out.judged(codes)
    if len(cells) == 0:
        return None
    probabilities = flattened(softmax(held_out.logits[cells] / temperature, axis=1), FLATTENING)
    # Thresholds are fitted to what is served; coverage is measured with nothing of the fold that it is measured on.
    fold_of = held_out.plan.fold_of[cells]
    donors = fold_of if held_out.plan.folds == "donors" else None
    cross = flattened(cross_calibrated(held_out, codes, cells), FLATTENING)
    section: dict[str, Any] = {
        "folds": held_out.plan.folds,
        "n_cells": len(cells),
        "default_error_rate": DEFAULT_ERROR_RATE,
        "flattening": FLATTENING,
        "levels": [
            {
                **_level(probabilities, codes[cells], cell_types, rate, donors),
                **_measured(cross, codes[cells], held_out, fold_of, rate),
            }
            for rate in ERROR_RATES
        ],
    }
    for level in section["levels"] if len(test) else ():
        found = label_sets(flattened(test_probabilities, FLATTENING), np.array(level["thresholds"]))
        level |= {f"test_{name}": value for name, value in set_measures(found, codes[test]).items()}
    return LabelSetsEntry.model_validate(section).model_dump(mode="json")


def set_measures(found: np.ndarray, codes: np.ndarray) -> dict[str, float]:
    """Coverage, mean size and share of sets of one type. `found`: bool, cells x types; `codes`: int [cells]."""
    sizes = found.sum(axis=1)
    return {
        "coverage": float(found[np.arange(len(codes)), codes].mean()),
        "mean_size": float(sizes.mean()),
        "share_of_one": float((sizes == 1).mean()),
    }


def _level(
    probabilities: np.ndarray, codes: np.ndarray, cell_types: Sequence[str], rate: float, donors: np.ndarray | None
) -> dict[str, Any]:
    fitted = fit_set_thresholds(probabilities, codes, error_rate=rate, donors=donors)
    pooled = [name for name, is_pooled in zip(cell_types, fitted.pooled, strict=True) if is_pooled]
    return {"error_rate": rate, "thresholds": fitted.thresholds.tolist(), "pooled": pooled}


def _measured(
    probabilities: np.ndarray, codes: np.ndarray, held_out: OutOfFold, fold_of: np.ndarray, rate: float
) -> dict[str, Any]:
    """Coverage and sizes of the sets of each fold's cells, with thresholds of the other folds."""
    found, per_fold = np.ones_like(probabilities, dtype=bool), {}
    for number, name in enumerate(held_out.plan.names):
        inside = fold_of == number
        if not inside.any():
            continue
        donors = fold_of[~inside] if held_out.plan.folds == "donors" else None
        fitted = fit_set_thresholds(probabilities[~inside], codes[~inside], error_rate=rate, donors=donors)
        found[inside] = label_sets(probabilities[inside], fitted.thresholds)
        per_fold[name] = set_measures(found[inside], codes[inside])["coverage"]
    return {**set_measures(found, codes), "coverage_per_fold": per_fold}
