"""Groups of cells by their expression alone, without labels: variable genes, principal components, Leiden."""

from importlib.util import find_spec

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.errors import SetupError
from cellmark.schemas.normalization import normalize, row_sums

from .merge_groups import by_size

N_GENES, N_COMPONENTS, N_NEIGHBORS = 2000, 30, 15
EXACT = 50_000
"""Cells up to which nearest neighbours are searched for exactly; of more, scanpy finds nearly all of them."""
MIN_CELLS_OF_GENE = 3
INSTALL = "pip install 'cellmark[clusters]'"


def components(x: sp.csr_matrix, *, seed: int) -> np.ndarray:
    """Principal components of the most variable genes, float [cells, components].

    `x`: CSR, cells x genes, ln(1 + counts per 10,000). Scanpy's functions with its defaults, which never make the
    matrix dense; genes with a count in fewer than three cells are left out.
    """
    import scanpy as sc
    from anndata import AnnData

    counted = np.bincount(x.indices, minlength=x.shape[1]) >= MIN_CELLS_OF_GENE
    adata = AnnData(x[:, counted])
    # The flavor's own logarithm is not taken again: this states that one was.
    adata.uns["log1p"] = {"base": None}
    sc.pp.highly_variable_genes(adata, n_top_genes=min(N_GENES, adata.n_vars))
    variable = int(adata.var["highly_variable"].sum())
    n_components = max(1, min(N_COMPONENTS, adata.n_obs - 1, variable - 1))
    sc.pp.pca(adata, n_comps=n_components, mask_var="highly_variable", random_state=seed)
    found: np.ndarray = adata.obsm["X_pca"]
    return found


def cluster_counts(counts: sp.csr_matrix, *, resolution: float, seed: int) -> np.ndarray:
    """Number of the cluster of each cell, int [cells], largest first; one cluster of fewer than three cells.

    `counts`: CSR, cells x genes, raw, none of them empty. Raises as `leiden_groups`.
    """
    if counts.shape[0] < 3:
        return np.zeros(counts.shape[0], dtype=int)
    x = normalize(counts, row_sums(counts))
    return by_size(leiden_groups(components(x, seed=seed), resolution=resolution, seed=seed))


def leiden_groups(points: np.ndarray, *, resolution: float, seed: int) -> np.ndarray:
    """Number of the group of each cell, int [cells], largest group first. `points`: [cells, components].

    Leiden (Traag et al. 2019, doi:10.1038/s41598-019-41695-z) by igraph, on the graph of 15 nearest neighbours with
    Gaussian weights: those of UMAP would compile for 20 s at every start. Raises `SetupError` (`EXTRA_MISSING`) without
    igraph.
    """
    require_igraph("resolution")
    import scanpy as sc
    from anndata import AnnData

    adata = AnnData(obsm={"X_pca": points}, obs={"row": np.arange(len(points))})
    n_neighbors = min(N_NEIGHBORS, len(points) - 1)
    sc.pp.neighbors(
        adata,
        n_neighbors=n_neighbors,
        use_rep="X_pca",
        method="gauss",
        random_state=seed,
        transformer="sklearn" if len(points) <= EXACT else None,
    )
    sc.tl.leiden(adata, resolution=resolution, flavor="igraph", n_iterations=2, directed=False, random_state=seed)
    groups: np.ndarray = adata.obs["leiden"].to_numpy(dtype=int)
    return groups


def require_igraph(where: str) -> None:
    """Raise `SetupError` (`EXTRA_MISSING`) where igraph, which the extra `clusters` brings, is not installed."""
    if find_spec("igraph") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where=where,
            expected="the package igraph, which groups cells",
            found="no such package",
            remedy=f"Install it with: {INSTALL}",
        )
