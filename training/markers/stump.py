"""The best single cut of one gene's expression between the cells of a type and all others."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

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
        """Which cells lie above, bool [cells] in their own order."""
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
