"""The manifest's section `calibration`: the temperature, and what it does to cells that it was not fitted on."""

from typing import Any

import numpy as np
from scipy.special import softmax

from cellmark.schemas.manifest.manifest_trust import CalibrationEntry

from .calibration_score import calibration_score
from .out_of_fold import OutOfFold
from .temperature import fit_temperature


def fold_temperatures(held_out: OutOfFold, codes: np.ndarray) -> np.ndarray:
    """For each fold the temperature that the other folds' cells give, [folds]. Of a single fold: 1."""
    cells = held_out.judged(codes)
    logits, of_cell = held_out.logits, held_out.plan.fold_of[cells]
    others = [cells[of_cell != number] for number in range(len(held_out.plan.names))]
    return np.array([fit_temperature(logits[rows], codes[rows]) for rows in others])


def cross_calibrated(held_out: OutOfFold, codes: np.ndarray, cells: np.ndarray) -> np.ndarray:
    """Probabilities of `cells` (numbers), each with the temperature of the folds that it is not in, cells x types."""
    each = fold_temperatures(held_out, codes)[held_out.plan.fold_of[cells]]
    return np.asarray(softmax(held_out.logits[cells] / each[:, None], axis=1))


def calibration_section(
    held_out: OutOfFold, codes: np.ndarray, *, test: np.ndarray, test_logits: np.ndarray
) -> dict[str, Any] | None:
    """As `CalibrationEntry`; None where no fold could be judged.

    `codes`: int [cells]; `test`: numbers of the test cells; `test_logits`: what the registered model says of them,
    test cells x types.
    """
    cells = held_out.judged(codes)
    if len(cells) == 0:
        return None
    logits = held_out.logits[cells]
    temperature = fit_temperature(logits, codes[cells])
    section: dict[str, Any] = {
        "temperature": temperature,
        "folds": held_out.plan.folds,
        "n_folds": len(held_out.plan.names),
        "n_cells": len(cells),
        "uncalibrated": calibration_score(softmax(logits, axis=1), codes[cells]),
        "calibrated": calibration_score(cross_calibrated(held_out, codes, cells), codes[cells]),
    }
    if len(test):
        section["test_uncalibrated"] = calibration_score(softmax(test_logits, axis=1), codes[test])
        section["test_calibrated"] = calibration_score(softmax(test_logits / temperature, axis=1), codes[test])
    return CalibrationEntry.model_validate(section).model_dump(mode="json")
