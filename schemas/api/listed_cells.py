"""Cells as rows of a data frame whose counts are lists: what Spark and Ray hand on of a Parquet of cells.

Columns as in the sparse form of `schemas/cells/read_arrow.py`: `cell_id`, `indices` and `counts`. The names of the
genes come beside the frame, since engines drop a file's metadata.
"""

import json
from functools import lru_cache

import numpy as np
import pandas as pd

from ..cells.read_arrow import CELL_ID, COUNTS, INDICES
from ..errors import ReadError, RequestError
from .request_cells import GeneList, RequestCells, csr_cells

NAMES_NEEDED = (
    "Pass the names that the file of cells holds: "
    'params={"genes": pyarrow.parquet.read_schema(PATH).metadata[b"genes"].decode()}. A model that an older cellmark '
    "registered takes no such parameter; register it again: cellmark bundle register."
)


def is_listed(frame: pd.DataFrame) -> bool:
    """Whether a frame has the columns of cells with lists, and not two genes of these names."""
    return {INDICES, COUNTS} <= set(frame.columns) and not any(
        pd.api.types.is_numeric_dtype(frame[name]) for name in (INDICES, COUNTS)
    )


def listed_cells(frame: pd.DataFrame, genes: str | None, *, library_size: str | None, name: str) -> RequestCells:
    """The cells of a frame with a row for each: ids in `cell_id`, or else the index.

    `genes`: JSON, the names that `indices` count. `library_size`: a column, or None to sum. Raises `RequestError` for
    names that are missing, and `ReadError` (`MATRIX_INVALID`) for lists that do not fit.
    """
    names = _genes(genes)
    indices, ends = _flat(frame[INDICES], INDICES, name)
    counts, other_ends = _flat(frame[COUNTS], COUNTS, name)
    if not np.array_equal(ends, other_ends):
        raise _misfit(name, COUNTS, "as many numbers as indices in every cell", "other numbers")
    ids = frame[CELL_ID] if CELL_ID in frame.columns else frame.index.to_series()
    if ids.isna().any():
        raise _misfit(name, CELL_ID, "a name for every cell", f"{int(ids.isna().sum()):,} missing ones")
    has_sizes = library_size is not None and library_size in frame.columns
    sizes = frame[library_size].to_numpy(dtype=np.float64, na_value=np.nan) if has_sizes else None
    cells = csr_cells(
        genes=names,
        cell_ids=[str(identifier) for identifier in ids],
        indptr=ends,
        indices=indices,
        data=counts,
        library_sizes=sizes,
        name=name,
    )
    return cells if has_sizes else RequestCells(cells.source, library_size)


def _genes(text: str | None) -> GeneList:
    if text is None:
        raise RequestError.of(
            "REQUEST_INVALID",
            where="params: genes",
            expected="the names of the genes that indices count",
            found="none",
            remedy=NAMES_NEEDED,
        )
    return _parsed(text)


@lru_cache(maxsize=4)
def _parsed(text: str) -> GeneList:
    """Batches come with the same text again and again."""
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
        raise RequestError.of(
            "REQUEST_INVALID",
            where="params: genes",
            expected="a list of names as JSON text",
            found="something else",
            remedy=NAMES_NEEDED,
        )
    return GeneList(names)


def _flat(column: pd.Series, where: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """The numbers of all lists, one after the other, and where each list ends, int64 [cells + 1]."""
    rows = column.to_list()
    if any(row is None or np.isscalar(row) for row in rows):
        raise _misfit(name, where, "a list of numbers for every cell", "cells without one")
    ends = np.concatenate([[0], np.cumsum([len(row) for row in rows], dtype=np.int64)]).astype(np.int64)
    # Empty lists of Python have a type of their own, which would be that of all.
    filled = [np.asarray(row) for row in rows if len(row)]
    values = np.concatenate(filled) if filled else np.zeros(0, dtype=np.int32)
    if values.dtype.kind not in ("iu" if where == INDICES else "iuf"):
        kind = "whole numbers" if where == INDICES else "numbers"
        raise _misfit(name, where, f"lists of {kind}", f"{values.dtype}, or missing values (null)")
    return values, ends


def _misfit(name: str, where: str, expected: str, found: str) -> ReadError:
    return ReadError.of(
        "MATRIX_INVALID",
        where=f"{name}: {where}",
        expected=expected,
        found=found,
        remedy="Write the file of cells again: cellmark to-parquet CELLS -o cells.parquet.",
    )
