"""Cells grouped by Leiden; groups that differ in too few genes are joined, as it divides what is uniform as well."""

from collections.abc import Callable, Sequence
from importlib.util import find_spec
from itertools import combinations

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.errors import SetupError
from cellmark.schemas.normalization import normalize, row_sums

from ..markers.marker_statistics import group_means, type_auc

MIN_AUC, MIN_LOG2_FOLD_CHANGE = 0.8, 1.0
"""A gene distinguishes two groups if it is at least twice as high in one and has this AUC between their cells."""
PER_TYPE, MOST_PAIRS = 100, 60
"""Cells of a known type, and pairs of types, that are looked at."""


def merge_groups(
    x: sp.csr_matrix,
    groups: np.ndarray,
    *,
    min_genes: int,
    on_progress: Callable[[int], None] = lambda n_pairs: None,
) -> np.ndarray:
    """Number of the group of each cell, int [cells], largest first: the two groups that the fewest genes distinguish
    are joined, again and again, until `min_genes` or more distinguish any two.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `groups`: int [cells].
    """
    merged = groups.copy()
    distinct: dict[tuple[int, int], int] = {}
    while True:
        names = np.unique(merged).tolist()
        for pair in ((first, second) for first in names for second in names if first < second):
            if pair not in distinct:
                distinct[pair] = genes_apart(x[merged == pair[0]], x[merged == pair[1]])
                on_progress(1)
        if not distinct or min(distinct.values()) >= min_genes:
            return by_size(merged)
        first, second = min(distinct, key=lambda pair: (distinct[pair], pair))
        merged[merged == second] = first
        distinct = {pair: number for pair, number in distinct.items() if not {first, second} & set(pair)}


def genes_apart(one: sp.csr_matrix, other: sp.csr_matrix) -> int:
    """How many genes differ between two groups. `one`, `other`: CSR, cells x genes, ln(1 + counts per 10,000)."""
    x = sp.vstack([one, other], format="csr")
    codes = np.repeat([0, 1], [one.shape[0], other.shape[0]])
    linear = sp.csr_matrix((np.expm1(x.data.astype(np.float64)), x.indices, x.indptr), shape=x.shape)
    mean, _ = group_means(linear, codes, n_types=2)
    change = np.log2((mean[0] + 1) / (mean[1] + 1))
    # Areas cost most, and few genes differ so much.
    candidates = np.flatnonzero(np.abs(change) >= MIN_LOG2_FOLD_CHANGE)
    auc = type_auc(x[:, candidates], codes, n_types=2)[0]
    return int((np.maximum(auc, 1 - auc) >= MIN_AUC).sum())


def types_apart(x: sp.csr_matrix, types: Sequence[np.ndarray], *, seed: int) -> float:
    """How many genes differ between two known types, the median over pairs of types; NaN for fewer than two.

    `x`: as in `merge_groups`; `types`: numbers of the cells of each. At most `PER_TYPE` cells of a type are looked at,
    and `MOST_PAIRS` pairs, drawn by `seed`.
    """
    generator = np.random.default_rng(seed)
    drawn = [of if len(of) <= PER_TYPE else np.sort(generator.choice(of, PER_TYPE, replace=False)) for of in types]
    pairs = list(combinations(range(len(types)), 2))
    if len(pairs) > MOST_PAIRS:
        pairs = [pairs[place] for place in generator.choice(len(pairs), MOST_PAIRS, replace=False)]
    if not pairs:
        return float("nan")
    return float(np.median([genes_apart(x[drawn[one]], x[drawn[other]]) for one, other in pairs]))


def by_size(groups: np.ndarray) -> np.ndarray:
    """The same groups, numbered from the largest; of groups of one size the one with the first cell comes first."""
    _, first, codes, sizes = np.unique(groups, return_index=True, return_inverse=True, return_counts=True)
    place = np.empty(len(sizes), dtype=int)
    place[np.lexsort((first, -sizes))] = np.arange(len(sizes))
    numbered: np.ndarray = place[codes]
    return numbered


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

    Leiden (Traag et al. 2019, doi:10.1038/s41598-019-41695-z), for modularity, by graspologic-native (MIT; igraph is
    under the GPL), on the graph of 15 nearest neighbours with Gaussian weights: those of UMAP would compile for 20 s at
    every start. Raises `SetupError` (`EXTRA_MISSING`) without that package.
    """
    require_leiden("resolution")
    import scanpy as sc
    from anndata import AnnData
    from graspologic_native import leiden_csr

    adata = AnnData(obsm={"X_pca": points})
    n_neighbors = min(N_NEIGHBORS, len(points) - 1)
    sc.pp.neighbors(
        adata,
        n_neighbors=n_neighbors,
        use_rep="X_pca",
        method="gauss",
        random_state=seed,
        transformer="sklearn" if len(points) <= EXACT else None,
    )
    graph = sp.csr_matrix(adata.obsp["connectivities"])
    graph.eliminate_zeros()
    if graph.nnz == 0:
        return np.arange(len(points))  # no two cells are alike; the package ends on such a graph
    _, group_of = leiden_csr(
        graph.indptr.astype(np.int64),
        graph.indices.astype(np.int32),
        graph.data.astype(np.float64),
        len(points),
        resolution=resolution,
        iterations=2,
        seed=seed,
    )
    return by_size(np.array([group_of[cell] for cell in range(len(points))]))


def require_leiden(where: str) -> None:
    """Raise `SetupError` (`EXTRA_MISSING`) without the package of Leiden, which the extras `train` and `clusters`
    bring.
    """
    if find_spec("graspologic_native") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where=where,
            expected="the package graspologic-native, which groups cells",
            found="no such package",
            remedy=f"Install it with: {INSTALL}",
        )
