"""The published score of candidate genes, silhouette x specificity on raw counts, and the levels that order them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

EPSILON = 1e-6
FOLD_LEVELS = np.arange(2.0, 1.15, -0.1)
"""From 2.0 down to 1.2, counted down in steps of 0.1: most lie a rounding error below, so that exactly 1.5 passes 1.5.
Medians of counts are small whole numbers, and the published program counts so."""


AT_ONCE = 2**20
"""Types x levels of one step."""


def level_counts(
    values: sp.csc_matrix | np.ndarray, codes: np.ndarray, *, n_types: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """For each gene in turn: its values in rising order, float64 [levels], and cells, int [types, levels].

    `values`: cells x genes, finite, sparse (what is not stored is 0) or dense; `codes`: int [cells]. The cells at zero
    are counted, not visited, so that the cost goes with the values stored. Zero is always a level, perhaps of no cell.
    """
    columns = sp.csc_matrix(values)
    sizes = np.bincount(codes, minlength=n_types)
    for gene in range(columns.shape[1]):
        stored = slice(columns.indptr[gene], columns.indptr[gene + 1])
        data, cells = columns.data[stored], columns.indices[stored]
        if not data.all():
            data, cells = data[data != 0], cells[data != 0]
        number, levels = pd.factorize(data, sort=True)
        shape = n_types, len(levels)
        counts = np.bincount(codes[cells] * len(levels) + number, minlength=shape[0] * shape[1]).reshape(shape)
        zero = int(np.searchsorted(levels, 0))
        yield (
            np.insert(levels.astype(np.float64), zero, 0.0),
            np.insert(counts, zero, sizes - counts.sum(axis=1), axis=1),
        )


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


@dataclass(frozen=True)
class ScoredMarkers:
    """Markers of one type, best first: `genes`, int; `fold_level`, 2.0 to 1.2 or NaN; `marker_score`, NaN: unscored."""

    genes: np.ndarray
    fold_level: np.ndarray
    marker_score: np.ndarray


@dataclass(frozen=True)
class CountProfiles:
    """Per type and gene, float64 [types, genes]: mean and median counts, fraction of cells with more than one."""

    mean: np.ndarray
    median: np.ndarray
    fraction_above_one: np.ndarray


def count_profiles(counts: sp.csc_matrix | sp.csr_matrix, codes: np.ndarray, *, n_types: int) -> CountProfiles:
    """`counts`: raw, cells x genes; `codes`: int [cells], with cells of every type."""
    sizes = np.bincount(codes, minlength=n_types)
    mean, median, above = (np.zeros((n_types, counts.shape[1])) for _ in range(3))
    middle = np.stack([(sizes - 1) // 2, sizes // 2])[:, :, None]
    for gene, (levels, cells) in enumerate(level_counts(counts, codes, n_types=n_types)):
        mean[:, gene] = cells @ levels / sizes
        above[:, gene] = cells[:, levels > 1].sum(axis=1) / sizes
        median[:, gene] = levels[(cells.cumsum(axis=1) <= middle).sum(axis=2)].mean(axis=0)
    return CountProfiles(mean, median, above)


def specificity(profiles: CountProfiles, scored: np.ndarray) -> np.ndarray:
    """Sum of three log2 ratios of a type to the sum over the other types, each scaled to 0..1 over all genes.

    [types, genes]. `scored`: genes that are a candidate of any type; the fraction of all others counts as 0, which is
    what the published program scales over.
    """
    fraction = np.zeros_like(profiles.fraction_above_one)
    fraction[:, scored] = profiles.fraction_above_one[:, scored]
    total = np.zeros_like(fraction)
    for values in (profiles.mean, profiles.median, fraction):
        ratio = np.log2((values + EPSILON) / (values.sum(axis=0) - values + EPSILON))
        lowest, highest = ratio.min(axis=1, keepdims=True), ratio.max(axis=1, keepdims=True)
        total += (ratio - lowest) / (highest - lowest + EPSILON)
    return total


def fold_levels(profiles: CountProfiles) -> np.ndarray:
    """The largest of 2.0, 1.9, ... 1.2 times the largest other type that a type exceeds in all three, or NaN.

    [types, genes].
    """
    levels = np.full(profiles.mean.shape, np.nan)
    for row in range(len(levels)):
        others = np.arange(len(levels)) != row
        for level in FOLD_LEVELS[::-1]:
            exceeds = [
                values[row] > level * values[others].max(axis=0, initial=0)
                for values in (profiles.mean, profiles.median, profiles.fraction_above_one)
            ]
            levels[row, np.all(exceeds, axis=0)] = np.round(level, 1)
    return levels


def marker_scores(
    counts: sp.csc_matrix | sp.csr_matrix, codes: np.ndarray, *, n_types: int, candidates: Sequence[np.ndarray]
) -> list[ScoredMarkers]:
    """Markers of each type: genes with a fold level, the highest level first, by score; then its other candidates.

    `counts`: raw, cells x genes; `codes`: int [cells]; `candidates`: genes of each type, best first. A gene takes a
    fold level wherever its counts earn one, if it is a candidate of any type; it is scored only where it is a candidate
    (elsewhere the score is NaN, and it comes last of its level). A type without cells has no markers. Zhang et al. 2026
    (bbag223), step 8 of the method.
    """
    present = np.flatnonzero(np.bincount(codes, minlength=n_types))
    rows = np.searchsorted(present, codes)
    columns = sp.csc_matrix(counts)
    profiles = count_profiles(columns, rows, n_types=len(present))
    candidates_of = [candidates[int(code)] for code in present]
    scored = np.unique(np.concatenate(candidates_of).astype(np.intp))
    apart = np.full((len(present), counts.shape[1]), np.nan)
    apart[:, scored] = silhouettes(columns[:, scored], rows, n_types=len(present))
    scores, levels = apart * specificity(profiles, scored), fold_levels(profiles)
    nothing = np.zeros(0)
    markers = [ScoredMarkers(nothing.astype(np.intp), nothing, nothing)] * n_types
    for code, own, level, every_score in zip(present, candidates_of, levels, scores, strict=True):
        score = np.full(counts.shape[1], np.nan)
        score[own] = every_score[own]
        with_level = scored[~np.isnan(level[scored])]
        with_level = with_level[np.lexsort((-score[with_level], -level[with_level]))]
        genes = np.concatenate([with_level, own[np.isnan(level[own])]])
        markers[code] = ScoredMarkers(genes, level[genes], score[genes])
    return markers
