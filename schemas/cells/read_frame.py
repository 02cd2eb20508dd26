"""A pandas data frame of counts as a cell source: rows are cells, columns of numbers are genes."""

from numbers import Number

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ParameterError, ReadError
from .cell_source import MemoryCells

ID_COLUMNS = ("cell_id", "cell", "cells", "barcode", "barcodes", "index", "unnamed: 0", "")
"""In lower case: a first column that holds the cells' ids where the frame's own index only counts the rows."""
VALUES_AT_ONCE = 4_000_000
"""Values of a frame that are copied at a time before they become sparse."""
N_EXAMPLES = 5


def cells_from_frame(
    frame: pd.DataFrame, *, layer: str | None = None, library_size: str | None = None, name: str = "data frame"
) -> MemoryCells:
    """The cells of a frame; nothing of it is changed.

    Ids are the index or, where that only counts the rows, a first column named as in `ID_COLUMNS`. `library_size`: a
    column that becomes one of `obs`; so does every column of text or of True and False, which a note names. Raises
    `ReadError` for complex numbers, and `ParameterError` for a `layer`, which no frame has.
    """
    if layer is not None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="layer",
            expected="an AnnData, which has layers",
            found="a data frame",
            remedy="Omit layer for this input.",
        )
    kinds = _kinds(frame)
    names = frame.columns.map(str).to_numpy(dtype=object)
    ids = pd.Index(frame.index.map(str), dtype=object)
    if isinstance(frame.index, pd.RangeIndex) and len(names) and names[0].strip().lower() in ID_COLUMNS:
        first = frame.iloc[:, 0]
        if kinds[0] == "t" or first.is_unique:
            kinds[0], ids = "i", pd.Index(first.astype(object).map(str), dtype=object)
    kinds[names == library_size] = "l"
    if "c" in kinds:
        raise ReadError.of(
            "MATRIX_INVALID",
            where=name,
            expected="a frame of numbers, cells x genes",
            found=f"complex numbers in column {names[kinds == 'c'][0]!r}",
            remedy="Provide the raw counts: complex numbers are not counts.",
        )
    genes, others = np.flatnonzero(kinds == "n"), np.flatnonzero((kinds == "t") | (kinds == "l"))
    obs = frame.iloc[:, others].set_axis(names[others], axis=1).set_axis(ids, axis=0)
    return MemoryCells(
        _sparse(frame.iloc[:, genes] if len(genes) < len(names) else frame),
        names[genes].astype(str) if len(genes) else np.empty(0, dtype=str),
        obs,
        name=name,
        counts_from="columns",
        notes=_notes(names[kinds == "t"], name),
    )


def _kinds(frame: pd.DataFrame) -> np.ndarray:
    """The kind of each column: `n` for numbers, `c` for complex numbers, `t` for everything else."""
    dtypes = frame.dtypes.to_numpy()
    kinds = np.full(len(dtypes), "t", dtype="U1")
    for dtype in set(dtypes):
        if pd.api.types.is_numeric_dtype(dtype) and not pd.api.types.is_bool_dtype(dtype):
            kinds[dtypes == dtype] = "c" if pd.api.types.is_complex_dtype(dtype) else "n"
    for number in np.flatnonzero(dtypes == np.dtype(object)).tolist():
        values = frame.iloc[:, number].dropna()
        if len(values) and all(isinstance(value, Number) and not isinstance(value, bool) for value in values):
            kinds[number] = "n"
    return kinds


def _sparse(frame: pd.DataFrame) -> sp.csr_matrix:
    """CSR of columns of numbers, cells x genes; some rows at a time, so that no second dense copy is made where NumPy
    holds the first. Each column of one of pandas' own types costs a call, however few rows are asked for.
    """
    plain = all(isinstance(dtype, np.dtype) and dtype.kind in "iuf" for dtype in set(frame.dtypes))
    n_rows = max(VALUES_AT_ONCE // max(frame.shape[1], 1), 1) if plain else max(len(frame), 1)
    blocks = [sp.csr_matrix((0, frame.shape[1]), dtype=np.float32)]
    for start in range(0, len(frame), n_rows):
        rows = frame.iloc[start : start + n_rows]
        values = rows.to_numpy() if plain else rows.to_numpy(dtype=np.float64, na_value=np.nan)
        blocks.append(sp.csr_matrix(values.astype(np.float32) if values.dtype == np.float16 else values))
    return blocks[-1] if len(blocks) <= 2 else sp.csr_matrix(sp.vstack(blocks[1:], format="csr"))


def _notes(text: np.ndarray, name: str) -> tuple[Finding, ...]:
    if not len(text):
        return ()
    return (
        Finding(
            "FEATURES_DROPPED",
            where=name,
            expected="columns of counts, one for each gene",
            found=f"{len(text):,} columns without numbers",
            remedy="They were kept as columns of obs and are no genes; nothing needs to be done.",
            severity="info",
            examples=tuple(map(str, text[:N_EXAMPLES])),
        ),
    )
