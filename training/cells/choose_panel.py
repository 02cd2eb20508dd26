"""Chooses the genes that the network looks at, from training cells only."""

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.genes.gene_panel import PERCENTILE, THRESHOLD, expressed_genes

from .cell_groups import membership


def type_separation(log1p_norm: sp.csr_matrix, codes: np.ndarray, *, min_cells: int = 2) -> np.ndarray:
    """How far a gene separates any one type from all others, [genes].

    `log1p_norm`: CSR, cells x genes, normalised expression. `codes`: int [cells]. For each type the difference between
    its mean and the mean of the other types' means, over the gene's pooled standard deviation within types (plus a
    tenth of the median one, so that nearly silent genes do not win by small denominators); the largest absolute value
    over types. Types weigh the same however many cells they have.
    """
    n_types = int(codes.max()) + 1
    sizes = np.bincount(codes, minlength=n_types).astype(np.float64)
    members = membership(codes, n_types)
    # A type number without cells is never `present` below; dividing its sums by 1 keeps them out as zeros.
    divisors = np.maximum(sizes, 1)[:, None]
    means = (members @ log1p_norm).toarray() / divisors
    squared = log1p_norm.multiply(log1p_norm)
    mean_squares = (members @ squared).toarray() / divisors
    within = np.maximum(mean_squares - means**2, 0)
    pooled = np.sqrt((within * sizes[:, None]).sum(axis=0) / max(len(codes) - int((sizes > 0).sum()), 1))
    present = sizes >= min_cells
    means = means[present]
    if len(means) < 2:
        return np.zeros(log1p_norm.shape[1])
    others = (means.sum(axis=0) - means) / (len(means) - 1)
    floor = 0.1 * np.median(pooled[pooled > 0]) if (pooled > 0).any() else 1.0
    separation: np.ndarray = np.abs(means - others).max(axis=0) / (pooled + floor)
    return separation


def filter_facts(max_genes: int | None) -> dict[str, float | int | None]:
    """The manifest's `panel.filter`: how `choose_panel` chose."""
    return {"threshold": THRESHOLD, "percentile": PERCENTILE, "max_genes": max_genes}


def choose_panel(
    counts: sp.csr_matrix,
    library_size: np.ndarray,
    log1p_norm: sp.csr_matrix,
    codes: np.ndarray,
    *,
    max_genes: int | None = None,
) -> np.ndarray:
    """Columns of the panel's genes, in file order, int [panel genes].

    All genes that pass `expressed_genes`; of more than `max_genes` those that separate types best
    (`type_separation`). `counts` and `log1p_norm`: CSR, training cells x genes.
    """
    expressed = np.flatnonzero(expressed_genes(counts, library_size, codes))
    if max_genes is None or len(expressed) <= max_genes:
        return expressed
    separation = type_separation(log1p_norm[:, expressed], codes)
    best = np.argsort(-separation, kind="stable")[:max_genes]
    return np.sort(expressed[best])
