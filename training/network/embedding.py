"""The embedding: a PCA of the members' last hidden layers, as one linear layer of the graph."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA

from .folded_network import FoldedNetwork

SIZE = 32
N_CELLS = 10_000
CHUNK = 1024


def fit_embedding(
    members: Sequence[FoldedNetwork], x: sp.csr_matrix, *, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [units] and components [d, units] of the last hidden layers side by side, over training cells.

    `x`: CSR, training cells x genes, ln(1 + counts per 10,000); evenly spaced rows stand for more than `N_CELLS`. d is
    `size`, or less where cells or units are fewer.
    """
    rows = np.unique(np.linspace(0, x.shape[0] - 1, min(N_CELLS, x.shape[0])).astype(int))
    chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    hidden = np.vstack([_last_hidden(members, x[chunk].toarray()) for chunk in chunks]).astype(np.float64)
    d = max(1, min(size, hidden.shape[1], len(hidden) - 1))
    pca = PCA(n_components=d, svd_solver="full").fit(hidden)
    return pca.mean_, pca.components_


def embed(members: Sequence[FoldedNetwork], x: sp.csr_matrix, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """The embedding of cells, float32 [cells, d], as the annotator's graph gives it.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000). `mean`, `components`: see `fit_embedding`.
    """
    found = np.empty((x.shape[0], len(components)), dtype=np.float32)
    for start in range(0, x.shape[0], CHUNK):
        rows = slice(start, start + CHUNK)
        found[rows] = (_last_hidden(members, x[rows].toarray()) - mean) @ components.T
    return found


def _last_hidden(members: Sequence[FoldedNetwork], values: np.ndarray) -> np.ndarray:
    """Last hidden layers side by side, [cells, units]. `values`: cells x genes."""
    return np.hstack([np.maximum(member.forward(values)[0][-1], 0) for member in members])
