"""Mean expression of each type in each sample: what a donor is to statistics, however many cells it gave."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..cells.membership import membership


@dataclass(frozen=True)
class Pseudobulk:
    """Means over the cells of each sample and type.

    `expression`: CSR, counts per 10,000; `fraction`: CSR, of cells with at least one count. The rows of both are
    samples x types, the type running fastest; columns are genes. `n_cells`: int [samples, types].
    """

    expression: sp.csr_matrix
    fraction: sp.csr_matrix
    n_cells: np.ndarray

    def log2_means(self, genes: slice) -> np.ndarray:
        """log2(mean counts per 10,000 + 1), [samples, types, genes]."""
        dense: np.ndarray = np.log2(self.expression[:, genes].toarray() + 1)
        return dense.reshape(*self.n_cells.shape, -1)

    def fractions(self, genes: slice) -> np.ndarray:
        """Fraction of cells expressing, [samples, types, genes]."""
        dense: np.ndarray = self.fraction[:, genes].toarray()
        return dense.reshape(*self.n_cells.shape, -1)


def pseudobulk(x: sp.csr_matrix, codes: np.ndarray, samples: np.ndarray, *, n_types: int, n_samples: int) -> Pseudobulk:
    """Means per sample and type; zeros where a sample has no cell of a type.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`, `samples`: int [cells]. The mean is taken of counts
    per 10,000, not of their logarithm: that one rises with the depth of sequencing, this one does not.
    """
    rows = samples * n_types + codes
    sizes = np.bincount(rows, minlength=n_samples * n_types)
    members = membership(rows, len(sizes))
    counts = sp.csr_matrix((np.expm1(x.data.astype(np.float64)), x.indices, x.indptr), shape=x.shape)
    expressed = sp.csr_matrix(((x.data > 0).astype(np.float64), x.indices, x.indptr), shape=x.shape)
    means = sp.diags(1 / np.maximum(sizes, 1))
    expression, fraction = (sp.csr_matrix(means @ (members @ of)) for of in (counts, expressed))
    return Pseudobulk(expression, fraction, sizes.reshape(n_samples, n_types))
