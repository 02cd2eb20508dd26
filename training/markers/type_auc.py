"""Area under the ROC curve of every gene for every type against the rest, one sort per gene."""

import numpy as np
import pandas as pd
import scipy.sparse as sp


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
