"""How much expression as it is speaks for a type: coefficients of logistic regression."""

import warnings

import numpy as np
import scipy.sparse as sp
from threadpoolctl import threadpool_limits

from ..cells.cell_groups import draw_cells

MAX_ITERATIONS = 300
MAX_CELLS = 5_000
"""Cells that it learns from at most, so that it takes seconds however many there are."""
RARE = 50
"""Cells of each type that are drawn before chance takes the rest."""


def expression_coefficients(x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, seed: int) -> np.ndarray:
    """Coefficients of multinomial logistic regression, types balanced, C = 1, float64 [types, genes].

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells]. Of more than `MAX_CELLS` cells as many are
    drawn. Genes are *not* standardised, unlike in the ensemble's linear member: under the penalty a gene that is
    expressed strongly then needs a smaller coefficient for the same effect, and is preferred to one that shallow cells
    miss. Genes that rise and fall together share theirs. A type without cells has zeros, and all have where only one
    type has cells.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    if len(codes) > MAX_CELLS:
        drawn = draw_cells(codes, at_most=MAX_CELLS, at_least=RARE, seed=seed)
        x, codes = x[drawn], codes[drawn]
    found = np.zeros((n_types, x.shape[1]))
    present = np.unique(codes)
    if len(present) < 2:
        return found
    regression = LogisticRegression(class_weight="balanced", max_iter=MAX_ITERATIONS)
    # One thread: its sums, and so the coefficients, are the same on every number of cores.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)
        regression.fit(x, codes)
    coefficients = regression.coef_
    if len(present) == 2:  # scikit-learn has the second against the first
        coefficients = np.vstack([-coefficients, coefficients]) / 2
    found[present] = coefficients
    return found
