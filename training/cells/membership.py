"""The cells' types as a matrix: its product with cells x genes is the sum over each type's cells."""

import numpy as np
import scipy.sparse as sp


def membership(codes: np.ndarray, n_types: int) -> sp.csr_matrix:
    """1 where a cell is of a type, CSR, float64, types x cells. `codes`: int [cells], from 0."""
    cells = np.arange(len(codes))
    return sp.csr_matrix((np.ones(len(codes)), (codes, cells)), shape=(n_types, len(codes)))
