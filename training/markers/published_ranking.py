"""The published ranking: candidates, the score (silhouette x specificity, on raw counts), the order, the tests."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .permutation_p_values import PermutationTest, permutation_test

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


RATIOS = (0.1, 0.2, 0.3, 0.5)
SHARES = (0.3, 0.1, 0.0)
MIN_SHARE = 0.5


def candidates(contributions: np.ndarray, codes: np.ndarray, *, n_types: int, n: int = 50) -> list[np.ndarray]:
    """Genes of each type, best first, int [at most n] each; empty for a type without cells.

    `contributions`: cells x genes, dense; `codes`: int [cells]. A type's value of a gene is the median, and the mean,
    of its cells' contributions, negative ones set to 0. In order, until there are `n`:

    1. genes with both values positive, contributing in half of the type's cells, and with every other type's value
       below r times the type's own in both, for the first r of 0.1, 0.2, 0.3, 0.5 that gives `n` (else 0.5);
    2. those that keep below r in one of the two;
    3. any gene with a positive value that contributes in a share of 0.3, then 0.1, then 0 of the type's cells.

    Each part goes by falling median, then mean, then gene number. Zhang et al. 2026 (bbag223), step 7 of the method;
    where medians of 0 come in part 3 is not published, and here they come last.
    """
    present = np.flatnonzero(np.bincount(codes, minlength=n_types))
    groups = [contributions[codes == code] for code in present]
    median = np.stack([np.median(group, axis=0) for group in groups]).clip(min=0)
    mean = np.stack([group.mean(axis=0, dtype=np.float64) for group in groups]).clip(min=0)
    share = np.stack([(group > 0).mean(axis=0) for group in groups])
    found = [np.zeros(0, dtype=np.intp)] * n_types
    for row, code in enumerate(present):
        found[code] = _of_type(row, median, mean, share, n)
    return found


def _of_type(row: int, median: np.ndarray, mean: np.ndarray, share: np.ndarray, n: int) -> np.ndarray:
    order = np.lexsort((-mean[row], -median[row]))
    others = np.arange(len(median)) != row

    def below(values: np.ndarray, ratio: float) -> np.ndarray:
        kept: np.ndarray = values[others].max(axis=0, initial=0) < ratio * values[row]
        return kept

    both_positive = (median[row] > 0) & (mean[row] > 0) & (share[row] >= MIN_SHARE)
    for ratio in RATIOS:
        strict = both_positive & below(median, ratio) & below(mean, ratio)
        if strict.sum() >= n:
            break
    either = both_positive & (below(median, ratio) | below(mean, ratio))
    any_positive = (median[row] > 0) | (mean[row] > 0)
    chosen: np.ndarray = np.zeros(0, dtype=np.intp)
    for passing in (strict, either, *(any_positive & (share[row] >= least) for least in SHARES)):
        chosen = np.concatenate([chosen, order[passing[order] & ~np.isin(order, chosen)]])
    return chosen[:n]


@dataclass(frozen=True)
class PublishedRanking:
    """`test`: per gene. `genes`: of each type, best first. [types, genes]: `rank`, int, 1 is best, -1 where not ranked;
    `marker_score` and `fold_level`, NaN where there is none.
    """

    test: PermutationTest
    genes: tuple[np.ndarray, ...]
    rank: np.ndarray
    marker_score: np.ndarray
    fold_level: np.ndarray


def published_ranking(
    contributions: np.ndarray,
    codes: np.ndarray,
    *,
    counts: sp.csr_matrix,
    count_codes: np.ndarray,
    n_types: int,
    columns: np.ndarray | None = None,
    n_permutations: int = 1000,
    n_candidates: int = 50,
    max_fdr: float = 0.05,
    seed: int,
    strata: np.ndarray | None = None,
    test: PermutationTest | None = None,
) -> PublishedRanking:
    """Test, candidates and marker score of Zhang et al. 2026 (bbag223).

    `contributions`: correctly called cells x genes, dense; `codes`: their types. `counts`: raw counts of all cells;
    `count_codes`: their types. `columns`: the column of `counts` of each gene; without it the two have the same genes
    (published scores are scaled over all genes of `counts`, so more columns change them). Candidates with an FDR of
    `max_fdr` or more are left out. `test`: where it was computed before.
    """
    if test is None:
        test = permutation_test(
            contributions, codes, n_types=n_types, n_permutations=n_permutations, seed=seed, strata=strata
        )
    n_genes = contributions.shape[1]
    columns = np.arange(n_genes) if columns is None else columns
    chosen = [
        genes[test.fdr[genes] < max_fdr] for genes in candidates(contributions, codes, n_types=n_types, n=n_candidates)
    ]
    gene_of_column = np.full(counts.shape[1], -1)
    gene_of_column[columns] = np.arange(n_genes)
    scored = marker_scores(counts, count_codes, n_types=n_types, candidates=[columns[genes] for genes in chosen])
    rank = np.full((n_types, n_genes), -1)
    marker_score, fold_level = np.full(rank.shape, np.nan), np.full(rank.shape, np.nan)
    genes_of_types = tuple(gene_of_column[markers.genes] for markers in scored)
    for row, (genes, markers) in enumerate(zip(genes_of_types, scored, strict=True)):
        rank[row, genes] = np.arange(1, len(genes) + 1)
        marker_score[row, genes] = markers.marker_score
        fold_level[row, genes] = markers.fold_level
    return PublishedRanking(test, genes_of_types, rank, marker_score, fold_level)
