"""Groups that differ in too few genes are joined: Leiden divides what is uniform as well."""

from collections.abc import Callable, Sequence
from itertools import combinations

import numpy as np
import scipy.sparse as sp

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
