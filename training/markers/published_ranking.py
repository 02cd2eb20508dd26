"""The published ranking, from contributions and counts to ordered markers with their tests."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from .candidates import candidates
from .marker_score import marker_scores
from .permutation_p_values import PermutationTest, permutation_test


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
