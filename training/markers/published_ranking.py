"""The published ranking, from contributions and counts to ordered markers with their tests."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .marker_score import marker_scores
from .permutation_p_values import PermutationTest, permutation_test

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
