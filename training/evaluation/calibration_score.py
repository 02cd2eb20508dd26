"""How far probabilities are from how often calls are right."""

from typing import Any

import numpy as np

N_BINS = 15


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
