"""One temperature for all logits, fitted on cells that the networks never saw."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

LOWEST, HIGHEST = 0.1, 10.0


def fit_temperature(logits: np.ndarray, codes: np.ndarray) -> float:
    """The T for which softmax(logits / T) gives the labels the highest likelihood (Guo et al. 2017, arXiv:1706.04599).

    `logits`: cells x types; `codes`: int [cells]. Between `LOWEST` and `HIGHEST`; 1 without cells. No call changes.
    """
    if len(codes) == 0:
        return 1.0
    logits = logits.astype(np.float64)
    rows = np.arange(len(codes))

    def loss(log_temperature: float) -> float:
        return float(-log_softmax(logits / np.exp(log_temperature), axis=1)[rows, codes].mean())

    found = minimize_scalar(loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded")
    # A flat loss, as of cells that are all right by far, has its least value at an end: nothing was learned from it.
    if not found.success or loss(0.0) - found.fun < 1e-6:
        return 1.0
    return float(np.exp(found.x))
