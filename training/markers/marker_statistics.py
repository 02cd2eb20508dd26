"""What tells how far to trust a gene as a marker of a type, type against all other cells: effects, tests, donors."""

from collections.abc import Callable

import numpy as np
import pandas as pd
import scipy.sparse as sp
from scipy.stats import false_discovery_control

from ..cells.cell_groups import membership
from .permutation_p_values import gene_blocks, permuted_sums, standardize

MIN_CELLS_OF_DONOR = 3
"""A donor counts for a type with at least so many of its cells and so many others."""


N_CELLS = 10_000
"""Cells that the test takes at most: more would only cost time, as p ends at 1 / (1 + permutations)."""
TIE = 1e-5
"""What single precision may cost a permuted sum that equals the observed one, in standard deviations and relative."""


def type_auc(x: sp.csr_matrix | sp.csc_matrix, codes: np.ndarray, *, n_types: int) -> np.ndarray:
    """The chance that a cell of the type has more of the gene than another cell, ties half, float64 [types, genes].

    `x`: cells x genes, sparse, no negative values; `codes`: int [cells]. It is the Mann-Whitney U over the number of
    pairs, from the sums of mid-ranks; cells without the gene share one rank. NaN for a type with no cell or all cells.
    """
    columns = sp.csc_matrix(x)
    n_cells = len(codes)
    sizes = np.bincount(codes, minlength=n_types)
    rank_sums = np.zeros((n_types, columns.shape[1]))
    for gene in range(columns.shape[1]):
        stored = slice(columns.indptr[gene], columns.indptr[gene + 1])
        data, types = columns.data[stored], codes[columns.indices[stored]]
        if not data.all():
            data, types = data[data != 0], types[data != 0]
        n_zero = n_cells - len(data)
        number, levels = pd.factorize(data, sort=True)
        tied = np.bincount(number, minlength=len(levels))
        mid_ranks = n_zero + tied.cumsum() - (tied - 1) / 2
        zeros = sizes - np.bincount(types, minlength=n_types)
        rank_sums[:, gene] = np.bincount(types, weights=mid_ranks[number], minlength=n_types)
        rank_sums[:, gene] += zeros * ((n_zero + 1) / 2)
    pairs = (sizes * (n_cells - sizes))[:, None].astype(np.float64)
    wins = rank_sums - (sizes * (sizes + 1) / 2)[:, None]
    return np.divide(wins, pairs, out=np.full_like(wins, np.nan), where=pairs > 0)


def expression_test(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    n_types: int,
    n_permutations: int = 1000,
    seed: int,
    strata: np.ndarray | None = None,
    n_cells: int = N_CELLS,
) -> np.ndarray:
    """Two-sided p = (1 + #{|D*| >= |D|}) / (1 + permutations) of every gene for every type, float64 [types, genes].

    D: mean of `x` in the type less that of all other cells, against what the permutations give on average; both
    directions, so that negative markers are tested too. `x`: CSR, cells x genes; `codes`: int [cells]. With `strata`,
    such as donors, labels are permuted within them, and D is what remains after differences between strata. Of more
    than `n_cells` cells that many are drawn, each type in proportion but at least 50 cells of it if it has them; p is
    of those cells. NaN for a type with no cell or with all cells; a gene that does not vary has p = 1.
    """
    drawn = _draw(codes, n_types, n_cells, seed)
    columns, codes = sp.csc_matrix(x[drawn]), codes[drawn]
    strata = None if strata is None else np.unique(strata[drawn], return_inverse=True)[1]
    sizes = np.bincount(codes, minlength=n_types)
    members = membership(codes, n_types)
    reached = np.full((n_types, columns.shape[1]), float(n_permutations))
    for genes in gene_blocks(*columns.shape):
        # With the stratum's mean taken off, a permuted sum is 0 on average, and D is proportional to the sum.
        standardized, sd = standardize(columns[:, genes].toarray(), strata)
        varying = np.flatnonzero(sd > 0)
        values = standardized[:, varying]
        observed = np.abs(members @ values)
        enough = (observed - TIE * (observed + np.sqrt(sizes)[:, None])).astype(np.float32)
        counted = np.zeros(observed.shape)
        for sums in permuted_sums(
            values.astype(np.float32), codes, n_types=n_types, n_permutations=n_permutations, seed=seed, strata=strata
        ):
            counted += np.count_nonzero(np.abs(sums, out=sums) >= enough, axis=0)
        reached[:, genes.start + varying] = counted
    p_value = (1 + reached) / (1 + n_permutations)
    p_value[(sizes == 0) | (sizes == len(codes))] = np.nan
    return p_value


def _draw(codes: np.ndarray, n_types: int, n_cells: int, seed: int) -> np.ndarray:
    if len(codes) <= n_cells:
        return np.arange(len(codes))
    generator = np.random.default_rng(seed)
    drawn = []
    for code in range(n_types):
        cells = np.flatnonzero(codes == code)
        wanted = min(len(cells), max(50, round(len(cells) * n_cells / len(codes))))
        drawn.append(generator.choice(cells, wanted, replace=False))
    return np.sort(np.concatenate(drawn))


def marker_statistics(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    n_types: int,
    donors: np.ndarray | None = None,
    n_permutations: int = 1000,
    seed: int,
) -> dict[str, np.ndarray]:
    """Statistics of each type against the rest, float64 [types, genes] each.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells]; `donors`: of each cell, or None. Keys:

    - `mean_in`, `mean_out`: mean of `x`; `fraction_in`, `fraction_out`: of cells with the gene;
    - `log2_fold_change`: log2 of (mean counts per 10,000 in the type + 1) over (the same outside + 1);
    - `auc`: see `type_auc`; `cohens_d`: difference of the means of `x` over the pooled standard deviation, 0 where
      nothing varies nor differs, NaN where only the groups differ;
    - `p_value`: see `expression_test`, labels permuted within donors where there are donors, NaN without permutations;
      `p_value_adj`: Benjamini-Hochberg over all types and genes;
    - `donor_fraction`, `n_donors_holding`, `n_donors`: see `donor_agreement`; NaN without donors.

    A type with no cell, or with all, has NaN where two groups are needed.
    """

    def means_of(change: Callable[[np.ndarray], np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        values = change(x.data.astype(np.float64))
        return group_means(sp.csr_matrix((values, x.indices, x.indptr), shape=x.shape), codes, n_types=n_types)

    mean_in, mean_out = group_means(x, codes, n_types=n_types)
    fraction_in, fraction_out = means_of(lambda values: values > 0)
    fold_in, fold_out = means_of(np.expm1)
    holding, counted = donor_agreement(x, codes, donors, mean_in - mean_out)
    p_value = np.full(mean_in.shape, np.nan)
    if n_permutations:
        p_value = expression_test(x, codes, n_types=n_types, n_permutations=n_permutations, seed=seed, strata=donors)
    return {
        "mean_in": mean_in,
        "mean_out": mean_out,
        "fraction_in": fraction_in,
        "fraction_out": fraction_out,
        "log2_fold_change": np.log2((fold_in + 1) / (fold_out + 1)),
        "auc": type_auc(x, codes, n_types=n_types),
        "cohens_d": _cohens_d(mean_in, mean_out, *means_of(np.square), codes),
        "p_value": p_value,
        "p_value_adj": _adjusted(p_value),
        "donor_fraction": holding / counted,
        "n_donors_holding": holding,
        "n_donors": counted,
    }


def group_means(x: sp.csr_matrix, codes: np.ndarray, *, n_types: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean in each type and in all other cells, float64 [types, genes] each, NaN over no cells.

    `x`: CSR, cells x genes; `codes`: int [cells].
    """
    sizes = np.bincount(codes, minlength=n_types)[:, None].astype(np.float64)
    members = membership(codes, n_types)
    sums = (members @ x.astype(np.float64)).toarray()
    others = len(codes) - sizes
    # Sums over the other types, not the total less the type: what nobody else has is exactly 0.
    rest = (1 - np.eye(n_types)) @ sums
    nothing = np.full_like(sums, np.nan)
    return (
        np.divide(sums, sizes, out=nothing.copy(), where=sizes > 0),
        np.divide(rest, others, out=nothing.copy(), where=others > 0),
    )


def donor_agreement(
    x: sp.csr_matrix, codes: np.ndarray, donors: np.ndarray | None, difference: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """In how many donors the type's mean differs from the rest's in the direction of `difference`, and of how many.

    float64 [types, genes] each. `x`: CSR, cells x genes; `codes`, `donors`: of each cell; `difference`: mean in less
    mean out over all cells, [types, genes]. A donor counts with at least three cells of the type and three others. NaN
    where no donor counts or nothing differs.
    """
    holding, counted = np.zeros(difference.shape), np.zeros(difference.shape)
    for donor in () if donors is None else np.unique(donors):
        cells = np.flatnonzero(donors == donor)
        sizes = np.bincount(codes[cells], minlength=len(difference))[:, None]
        counts = (sizes >= MIN_CELLS_OF_DONOR) & (len(cells) - sizes >= MIN_CELLS_OF_DONOR)
        mean_in, mean_out = group_means(x[cells], codes[cells], n_types=len(difference))
        counted += counts
        holding += counts & ((mean_in - mean_out) * difference > 0)
    unknown = (counted == 0) | ~(difference != 0)
    return np.where(unknown, np.nan, holding), np.where(unknown, np.nan, counted)


def _cohens_d(
    mean_in: np.ndarray, mean_out: np.ndarray, square_in: np.ndarray, square_out: np.ndarray, codes: np.ndarray
) -> np.ndarray:
    n_in = np.bincount(codes, minlength=len(mean_in))[:, None]
    n_out = len(codes) - n_in
    squares = n_in * np.maximum(square_in - mean_in**2, 0) + n_out * np.maximum(square_out - mean_out**2, 0)
    pooled = np.sqrt(squares / max(len(codes) - 2, 1))
    # Below this a squared sum's rounding is all there is.
    varies = pooled > 1e-7 * np.maximum(np.abs(mean_in), np.abs(mean_out))
    same = np.isclose(mean_in, mean_out, rtol=1e-9, atol=0)
    d = np.divide(mean_in - mean_out, pooled, out=np.full_like(pooled, np.nan), where=varies)
    return np.where(~varies & same, 0.0, d)


def _adjusted(p_value: np.ndarray) -> np.ndarray:
    adjusted = np.full_like(p_value, np.nan)
    known = ~np.isnan(p_value)
    if known.any():
        adjusted[known] = false_discovery_control(p_value[known])
    return adjusted
