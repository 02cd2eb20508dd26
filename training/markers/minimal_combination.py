"""The fewest genes that together tell a cell type from all others, as NS-Forest defines them.

Aevermann et al. 2021 (Genome Research 31:1767): each gene has one threshold, that of a decision stump for the type
against the rest; a cell above the thresholds of all genes of a combination is called the type; combinations are judged
by F-beta with beta 0.5, which weighs precision more than recall.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

N_CANDIDATES = 10
TOLERANCE = 0.01
"""A larger combination has to gain more F-beta than this over a smaller one."""


APART = 1e-7
"""Values closer than this are not cut between, as in scikit-learn's trees."""


@dataclass(frozen=True)
class SortedGene:
    """Expression of one gene in ascending order, zeros first. `values`: float64 [cells]; `cells`: int [cells], their
    numbers.
    """

    values: np.ndarray
    cells: np.ndarray

    def cells_above(self, threshold: float) -> np.ndarray:
        """Whether a cell lies above, bool [cells] in their own order."""
        above = np.zeros(len(self.cells), dtype=bool)
        above[self.cells[np.searchsorted(self.values, threshold, side="right") :]] = True
        return above


def sorted_gene(column: sp.csc_matrix) -> SortedGene:
    """`column`: CSC, cells x 1, values of at least 0."""
    dense = np.zeros(column.shape[0], dtype=np.float64)
    dense[column.indices] = column.data
    order = np.argsort(dense, kind="stable")
    return SortedGene(dense[order], order)


def stump_threshold(gene: SortedGene, is_type: np.ndarray) -> float | None:
    """The cut that leaves the least Gini impurity on both sides, half way between two neighbouring values.

    It is that of a decision tree of depth 1 (the lowest where several are as good): cells above it are called the type.
    `is_type`: bool [cells]. None where no cut leaves a larger fraction of the type above than below.
    """
    cuts = np.flatnonzero(np.diff(gene.values) > APART)
    total, n_type = len(gene.values), int(is_type.sum())
    if len(cuts) == 0 or n_type in (0, total):
        return None
    below = cuts + 1.0
    type_below = np.cumsum(is_type[gene.cells])[cuts].astype(np.float64)
    above, type_above = total - below, n_type - type_below
    # Least impurity is the largest sum over both sides of (squared class sizes / cells).
    purity = (type_below**2 + (below - type_below) ** 2) / below + (type_above**2 + (above - type_above) ** 2) / above
    best = int(np.argmax(purity))
    if type_above[best] / above[best] <= type_below[best] / below[best]:
        return None
    left, right = gene.values[cuts[best]], gene.values[cuts[best] + 1]
    middle = left / 2 + right / 2
    return float(left if middle == right else middle)


@dataclass(frozen=True)
class Combination:
    """The combination of one type, its genes in the order of the candidates; empty where no gene marks the type.

    `genes`: column numbers of the matrix; `thresholds`: of each gene, in the matrix's unit, which a cell must exceed.
    `precision`: of the cells that exceed all thresholds, the fraction of the type; `recall`: of the type's cells, the
    fraction that do; NaN in an empty combination.
    """

    genes: tuple[int, ...] = ()
    thresholds: tuple[float, ...] = ()
    precision: float = np.nan
    recall: float = np.nan
    f_beta: float = np.nan


def minimal_combination(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    n_types: int,
    candidates: Sequence[np.ndarray],
    max_genes: int = 6,
    n_candidates: int = N_CANDIDATES,
    beta: float = 0.5,
) -> list[Combination]:
    """The smallest sufficient combination of each type, [types].

    Every subset of up to `max_genes` of a type's first `n_candidates` candidates is tried. Of all subsets within
    `TOLERANCE` of the best F-beta, one with the fewest genes wins; of those the one with the larger F-beta, then that
    whose genes come first among the candidates. Measured on the cells that the thresholds were chosen on.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells]; `candidates`: per type column numbers,
    best first, of genes that are present in the type.
    """
    columns = x.tocsc()
    found = []
    for code in range(n_types):
        is_type = codes == code
        genes, thresholds, above = [], [], []
        for number in map(int, candidates[code][:n_candidates]):
            gene = sorted_gene(columns[:, [number]])
            threshold = stump_threshold(gene, is_type)
            if threshold is not None:
                genes.append(number)
                thresholds.append(threshold)
                above.append(gene.cells_above(threshold))
        found.append(_best_subset(genes, thresholds, above, is_type, max_genes=max_genes, beta=beta))
    return found


def combination_columns(combinations: Sequence[Combination], *, n_genes: int) -> dict[str, np.ndarray]:
    """The combinations as columns of the marker table, each [types, genes]; NaN for genes that are in none."""
    shape = (len(combinations), n_genes)
    chosen = np.zeros(shape, dtype=bool)
    values = {name: np.full(shape, np.nan) for name in ("threshold", "precision", "recall", "f_beta")}
    for code, combination in enumerate(combinations):
        genes = list(combination.genes)
        chosen[code, genes] = True
        values["threshold"][code, genes] = combination.thresholds
        values["precision"][code, genes] = combination.precision
        values["recall"][code, genes] = combination.recall
        values["f_beta"][code, genes] = combination.f_beta
    return {
        "in_minimal_combination": chosen,
        **{f"combination_{name}": value for name, value in values.items()},
    }


def _best_subset(
    genes: list[int],
    thresholds: list[float],
    above: list[np.ndarray],
    is_type: np.ndarray,
    *,
    max_genes: int,
    beta: float,
) -> Combination:
    """A subset is a number whose bit g says whether gene g is in it. `above`: bool [cells] of each gene."""
    if not genes:
        return Combination()
    n_genes = len(genes)
    patterns = np.zeros(len(is_type), dtype=np.int64)
    for number, cells in enumerate(above):
        patterns |= cells.astype(np.int64) << number
    n_patterns = 1 << n_genes
    positive = _in_all(np.bincount(patterns, minlength=n_patterns), n_genes)
    true_positive = _in_all(np.bincount(patterns[is_type], minlength=n_patterns), n_genes)
    n_type = int(is_type.sum())
    # F-beta = (1 + b^2) TP / (b^2 (TP + FN) + TP + FP), the weighted harmonic mean of precision and recall.
    f_beta = (1 + beta**2) * true_positive / (beta**2 * n_type + positive)
    subsets = np.arange(n_patterns)
    sizes = np.bitwise_count(subsets)
    f_beta[(sizes == 0) | (sizes > max_genes)] = -1
    good = np.flatnonzero(f_beta >= f_beta.max() - TOLERANCE)
    # Bits reversed, so that among equals the subset with the earlier genes has the larger number.
    early = sum(((subsets[good] >> number) & 1) << (n_genes - 1 - number) for number in range(n_genes))
    chosen = int(good[np.lexsort((-np.asarray(early), -f_beta[good], sizes[good]))[0]])
    members = [number for number in range(n_genes) if chosen >> number & 1]
    return Combination(
        tuple(genes[number] for number in members),
        tuple(thresholds[number] for number in members),
        float(true_positive[chosen] / positive[chosen]),
        float(true_positive[chosen] / n_type),
        float(f_beta[chosen]),
    )


def _in_all(cells_with_pattern: np.ndarray, n_genes: int) -> np.ndarray:
    """Cells that are above in at least the genes of each subset: sums over the supersets of every pattern."""
    counts = cells_with_pattern.copy()
    for number in range(n_genes):
        halves = counts.reshape(-1, 2, 1 << number)
        halves[:, 0] += halves[:, 1]
    return counts
