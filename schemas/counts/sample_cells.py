"""The cells that stand for an input: drawn from all of it, since the first ones may be unlike the rest."""

from functools import lru_cache

import numpy as np
import scipy.sparse as sp

SAMPLE_CELLS = 256
SAMPLE_VALUES = 5_000_000
FEWEST_CELLS = 50


@lru_cache(maxsize=64)
def sample_cells(n_obs: int, n_vars: int, *, seed: int = 0) -> np.ndarray:
    """Numbers of at most `SAMPLE_CELLS` cells, ascending; fewer where a cell has very many genes.

    Remembered for the last sizes, so the array cannot be written to.
    """
    size = min(n_obs, SAMPLE_CELLS, max(FEWEST_CELLS, SAMPLE_VALUES // max(n_vars, 1)))
    drawn = np.arange(n_obs)
    if size < n_obs:
        drawn = np.sort(np.random.default_rng(seed).choice(n_obs, size, replace=False))
    drawn.flags.writeable = False
    return drawn


def clean_sample(X: sp.csr_matrix) -> sp.csr_matrix:
    """A float64 copy of a few rows without missing values, stored zeros, values in parts and empty cells."""
    X = sp.csr_matrix(X, dtype=np.float64, copy=True)
    X.sum_duplicates()
    X.data[~np.isfinite(X.data)] = 0
    X.eliminate_zeros()
    return X[np.flatnonzero(np.diff(X.indptr))]
