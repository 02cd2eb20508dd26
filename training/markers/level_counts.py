"""The distinct values of a gene and how many cells of each type have each: all that rank-like measures need."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
import scipy.sparse as sp


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
