"""One temperature for all logits, fitted on cells that the networks never saw."""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

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
