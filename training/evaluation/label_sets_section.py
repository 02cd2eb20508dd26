"""The manifest's section `label_sets`: thresholds for each error rate, and what they give on other cells."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.special import softmax

from cellmark.schemas.manifest.flattened import flattened
from cellmark.schemas.manifest.manifest_trust import LabelSetsEntry

from .calibration_section import cross_calibrated
from .conformal_sets import fit_set_thresholds, label_sets
from .out_of_fold import OutOfFold

ERROR_RATES = (0.01, 0.05)
DEFAULT_ERROR_RATE = 0.01
FLATTENING = 4.0
"""Of the probabilities that sets are drawn by, chosen on training donors held out in turn (docs/trust.md)."""


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
    """Of each fold's cells, with thresholds of the other folds."""
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
