"""Exact silhouettes of one type against the rest on one gene, without the distances between all cells."""

import numpy as np
import scipy.sparse as sp

from .level_counts import level_counts

AT_ONCE = 2**20
"""Types x levels of one step."""


def silhouettes(values: sp.csc_matrix | np.ndarray, codes: np.ndarray, *, n_types: int) -> np.ndarray:
    """Mean silhouette over all cells of each type against the rest, on each gene alone, float64 [types, genes].

    `values`: cells x genes, sparse or dense; `codes`: int [cells]. Rousseeuw 1987 with absolute differences as the
    distance; a group of one cell has silhouette 0, and so have cells without any distance, as in
    `sklearn.metrics.silhouette_score`. O(n log n) a gene for all types: sorting, then prefix sums. NaN for a type with
    no cell or with all cells.
    """
    result = np.full((n_types, values.shape[1]), np.nan)
    sizes = np.bincount(codes, minlength=n_types)
    defined = np.flatnonzero((sizes > 0) & (sizes < len(codes)))
    for gene, (levels, counts) in enumerate(level_counts(values, codes, n_types=n_types)):
        # Small numbers keep sums of differences exact.
        centred = levels - levels[len(levels) // 2]
        step = max(1, AT_ONCE // len(levels))
        total = counts.sum(axis=0)
        for start in range(0, len(defined), step):
            types = defined[start : start + step]
            result[types, gene] = _silhouette(centred, counts[types], total - counts[types])
    return result


def _silhouette(levels: np.ndarray, inside: np.ndarray, outside: np.ndarray) -> np.ndarray:
    """[types]; `levels`: in rising order; `inside`, `outside`: cells of two groups at each level, [types, levels]."""
    to_inside, to_outside = _distance_sums(levels, inside), _distance_sums(levels, outside)
    total = _coefficient_sum(inside, to_inside, outside, to_outside)
    total += _coefficient_sum(outside, to_outside, inside, to_inside)
    mean: np.ndarray = total / (inside[0].sum() + outside[0].sum())
    return mean


def _distance_sums(levels: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Sum of distances from each level to all cells counted, [types, levels]."""
    below, sum_below = counts.cumsum(axis=1), (counts * levels).cumsum(axis=1)
    distances: np.ndarray = levels * (2 * below - below[:, -1:]) + sum_below[:, -1:] - 2 * sum_below
    return distances


def _coefficient_sum(own: np.ndarray, to_own: np.ndarray, other: np.ndarray, to_other: np.ndarray) -> np.ndarray:
    """Sum of (b - a) / max(a, b) over the cells of `own`, [types]."""
    n_own, n_other = own.sum(axis=1, keepdims=True), other.sum(axis=1, keepdims=True)
    a, b = to_own / np.maximum(n_own - 1, 1), to_other / n_other
    larger = np.maximum(a, b)
    coefficient = np.divide(b - a, larger, out=np.zeros_like(a), where=(larger > 0) & (n_own > 1))
    total: np.ndarray = (own * coefficient).sum(axis=1)
    return total
