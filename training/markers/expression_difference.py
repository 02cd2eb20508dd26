"""Is a gene's mean expression in a type other than in the rest? By permuted labels, for all types at once."""

import numpy as np
import scipy.sparse as sp

from ..cells.membership import membership
from .label_permutation import gene_blocks, permuted_sums, standardize

N_CELLS = 10_000
"""Cells that the test takes at most: more would only cost time, as p ends at 1 / (1 + permutations)."""
TIE = 1e-5
"""What single precision may cost a permuted sum that equals the observed one, in standard deviations and relative."""


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
