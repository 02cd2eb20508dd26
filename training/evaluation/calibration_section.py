"""The manifest's section `calibration`: the temperature, and what it does to cells that it was not fitted on."""

from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

from cellmark.schemas.manifest.manifest_trust import CalibrationEntry

from .out_of_fold import OutOfFold

N_BINS = 15


LOWEST, HIGHEST = 0.1, 10.0


def fit_temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017, arXiv:1706.04599).

    `logits`: cells x types; `codes`: int [cells]. Between `LOWEST` and `HIGHEST`; 1 without cells. No call changes.

    Of n cells, 1 / (n + 2) of each label counts as the other types' (Platt 1999): where all calls are right, the
    likelihood alone would ask for no doubt whatever, and few cells cannot tell that.
    """
    if len(codes) == 0:
        return 1.0
    logits = logits.astype(np.float64)
    rows = np.arange(len(codes))

    n_types = logits.shape[1]
    wanted = np.full_like(logits, 1 / (len(codes) + 2) / max(n_types - 1, 1))
    wanted[rows, codes] = 1 - 1 / (len(codes) + 2)

    def loss(log_temperature: float) -> float:
        return float(-(wanted * log_softmax(logits / np.exp(log_temperature), axis=1)).sum(axis=1).mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    return float(np.exp(found.x))


def calibration_score(probabilities: np.ndarray, codes: np.ndarray, *, n_bins: int = N_BINS) -> dict[str, Any]:
    """As `CalibrationScore`. `probabilities`: cells x types; `codes`: int [cells], at least one.

    The bins hold equally many cells, in the order of their confidence. Expected calibration error: mean over cells of
    their bin's |accuracy - confidence|. Brier score: mean squared distance of all types' probabilities from the label.
    """
    probabilities = probabilities.astype(np.float64)
    rows, n_cells = np.arange(len(codes)), len(codes)
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    bins = [
        {"n_cells": len(cells), "confidence": float(confidence[cells].mean()), "accuracy": float(right[cells].mean())}
        for cells in np.array_split(np.argsort(confidence, kind="stable"), n_bins)
        if len(cells)
    ]
    of_label = probabilities[rows, codes]
    return {
        "n_cells": n_cells,
        "expected_calibration_error": sum(
            one["n_cells"] / n_cells * abs(one["accuracy"] - one["confidence"]) for one in bins
        ),
        "brier_score": float(((probabilities**2).sum(axis=1) - 2 * of_label + 1).mean()),
        "log_loss": float(-np.log(np.maximum(of_label, 1e-12)).mean()),
        "bins": bins,
    }


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
