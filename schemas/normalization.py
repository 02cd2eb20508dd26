"""The one expression scale: ln(1 + counts per 10,000). The graphs hold the same formula as operators."""

from typing import Any

import numpy as np
import scipy.sparse as sp

COUNTS_PER = 10_000.0
EXACT_IN_FLOAT32 = 2**24
SCALE_NAME = "ln(1 + counts per 10,000)"


def normalize(counts: sp.csr_matrix, library_size: np.ndarray) -> sp.csr_matrix:
    """Normalised expression of sparse counts.

    `counts`: CSR, cells x genes (the whole transcriptome or a panel), never changed. `library_size`: [cells], the sum
    over *all* genes measured, positive. Returns a new CSR of the same pattern, float32, ln(counts per 10,000 + 1): the
    scale of scanpy's `normalize_total(target_sum=1e4)` followed by `log1p`.
    """
    factors = (COUNTS_PER / library_size).astype(np.float32)
    data = np.log1p(counts.data.astype(np.float32, copy=False) * np.repeat(factors, np.diff(counts.indptr)))
    return sp.csr_matrix((data, counts.indices, counts.indptr), shape=counts.shape)


def unchecked_csr(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, shape: tuple[int, int]) -> sp.csr_matrix:
    """A CSR of parts that are right by construction: SciPy's constructor would check (and copy) them. Positions become
    32-bit numbers where these suffice.
    """
    index_type = np.int32 if max(len(data), *shape) < 2**31 else np.int64
    X = sp.csr_matrix(shape, dtype=data.dtype)
    X.data = data
    X.indices = indices.astype(index_type, copy=False)
    X.indptr = indptr.astype(index_type, copy=False)
    return X


def slice_rows(X: sp.csr_matrix, start: int, end: int) -> sp.csr_matrix:
    """Consecutive rows of a CSR matrix without a copy of their values. SciPy's own constructor copies what is less than
    half of a larger array, and its slices convert all of a matrix whose positions are of two types.
    """
    if start == 0 and end == X.shape[0]:
        return X
    values = slice(int(X.indptr[start]), int(X.indptr[end]))
    parts = X.data[values], X.indices[values], X.indptr[start : end + 1] - X.indptr[start]
    return unchecked_csr(*parts, shape=(end - start, X.shape[1]))


def row_sums(X: sp.csr_matrix) -> np.ndarray:
    """Sum of each row, float64 [cells]; exact for counts."""
    totals = np.zeros(X.shape[0], dtype=np.float64)
    # reduceat gives an empty segment its neighbour's value, so only rows with entries take part.
    filled = np.flatnonzero(np.diff(X.indptr))
    if len(filled) == 0:
        return totals
    if X.data.dtype == np.float32:
        sums = np.add.reduceat(X.data, X.indptr[filled])
        # float32 sums of whole numbers are exact up to 2**24. Written so that NaN takes the slower way.
        if sums.max() < EXACT_IN_FLOAT32:
            totals[filled] = sums
            return totals
    totals[filled] = np.add.reduceat(X.data, X.indptr[filled], dtype=np.float64)
    return totals


def dense_counts(counts: sp.csr_matrix, measured: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
    """A chunk as the graphs take it: float32, cells x panel genes, NaN for a gene that the input did not measure.

    `measured`: bool [panel genes]. `out`: an array to fill in place of a new one.
    """
    dense: np.ndarray = counts.toarray(out=out) if out is not None else counts.toarray()
    dense = dense.astype(np.float32, copy=False)
    if not measured.all():
        dense[:, ~measured] = np.nan
    return dense


def describe_scale() -> dict[str, Any]:
    """What the manifest says of the scale."""
    return {"formula": SCALE_NAME, "counts_per": COUNTS_PER, "log": "natural"}
