"""Tables of counts: .csv, .tsv, .txt (also .gz), cells x genes or, when said so, genes x cells."""

import io
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import ReadError
from .cell_source import MemoryCells
from .open_limited import open_limited
from .read_limits import NO_LIMITS, ReadLimits
from .reading import reading
from .table_layout import (
    TableLayout,
    find_layout,
    invalid_table,
    is_number,
    no_cells,
    no_genes,
    rows_after_header,
)
from .table_orientation import names_swapped

EXPECTED = "a table of counts (.csv, .tsv or .txt)"
VALUES_AT_ONCE = 4_000_000
"""Values parsed at once before they become sparse."""


def read_table(path: Path, *, genes_by_cells: bool = False, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of a table: one row per cell, a header of gene names, cell ids in the first column.

    A second column that is not numeric becomes a column of `obs`, as in the published layout `cell_id, cell_type,
    gene, ...`. `genes_by_cells`: one row per gene instead, a header of cell ids (a second column of text then goes to
    `var`). Duplicate genes stay, and values are not judged here. Raises `ReadError`: values that are no numbers, rows
    of unequal length, no cells or no genes, a table that looks as if it were the other way round.
    """
    with reading(path, EXPECTED):
        columns = "cells" if genes_by_cells else "genes"
        with _open_text(path, limits) as lines:
            layout = find_layout(lines, path, check_width=lambda width: limits.check(str(path), **{columns: width}))
        row_names, text, X = _parse(path, layout, limits, rows="genes" if genes_by_cells else "cells")
        column_names = np.array(layout.names, dtype=object)
        if genes_by_cells:
            X = sp.csr_matrix(X.T)
        genes, ids = (row_names, column_names) if genes_by_cells else (column_names, row_names)
        empty = [*([] if len(ids) else [no_cells(path)]), *([] if len(genes) else [no_genes(path)])]
        if empty:
            raise ReadError(*empty)
        _check_orientation(path, layout, row_names, genes_by_cells=genes_by_cells)
        _check_names(path, row_names, layout)
    obs, var = pd.DataFrame(index=pd.Index(ids, dtype=object)), pd.DataFrame(index=pd.Index(genes, dtype=object))
    if text is not None and layout.text_header is not None:
        (var if genes_by_cells else obs)[layout.text_header] = text
    return MemoryCells(X, genes.astype(str), obs, name=path.name, counts_from="table", var=var)


def _open_text(path: Path, limits: ReadLimits) -> AbstractContextManager[TextIO]:
    """The lines of a plain or compressed file; a byte order mark is skipped."""
    stream = open_limited(path, limits.max_unpacked_bytes, is_text=True)
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _parse(
    path: Path, layout: TableLayout, limits: ReadLimits, *, rows: str
) -> tuple[np.ndarray, np.ndarray | None, sp.csr_matrix]:
    """Row names [rows], the column of text [rows] if there is one, and the values: CSR, rows x columns.

    `rows`: what the rows are, `cells` or `genes`.
    """
    names: list[np.ndarray] = []
    texts: list[np.ndarray] = []
    blocks = [sp.csr_matrix((0, len(layout.names)), dtype=np.int64)]
    lengths_checked = False
    n_read, n_nonzero = 0, 0
    with _open_text(path, limits) as lines:
        rows_after_header(lines, layout.delimiter)
        for frame in _frames(lines, path, layout, limits):
            # pandas fills short rows with missing values.
            if not lengths_checked and (frame.shape[1] != layout.n_fields or frame.iloc[:, -1].isna().any()):
                _raise_if_ragged(path, layout, limits)
                lengths_checked = True
            names.append(np.array([name[1:] for name in frame[0]], dtype=object))
            if layout.text_header is not None:
                texts.append(frame[1].to_numpy(dtype=object))
            values = frame.iloc[:, layout.first_value :]
            blocks.append(sp.csr_matrix(_numbers(values, path, layout, names[-1], n_read)))
            n_read, n_nonzero = n_read + len(frame), n_nonzero + blocks[-1].nnz
            limits.check(str(path), **{rows: n_read}, nonzeros=n_nonzero)
    row_names = np.concatenate(names) if names else np.empty(0, dtype=object)
    return row_names, np.concatenate(texts) if texts else None, sp.csr_matrix(sp.vstack(blocks, format="csr"))


def _frames(lines: TextIO, path: Path, layout: TableLayout, limits: ReadLimits) -> Iterator[pd.DataFrame]:
    """The rows after the header, some at a time, columns numbered. Names stay as they are written."""
    try:
        with pd.read_csv(
            lines,
            sep=layout.delimiter,
            header=None,
            converters={0: _kept},
            dtype=None if layout.text_header is None else {1: object},
            chunksize=max(VALUES_AT_ONCE // layout.n_fields, 1),
            low_memory=False,
        ) as frames:
            yield from frames
    except pd.errors.EmptyDataError:
        return
    except pd.errors.ParserError as error:
        _raise_if_ragged(path, layout, limits)
        cause = " ".join(str(error).split())
        found = "a quotation mark that is never closed" if "EOF inside string" in cause else cause
        raise invalid_table(path, "rows of equal length", found) from error


def _kept(name: str) -> str:
    """A name as it is written, behind a sign: else pandas from 3 on takes `NA`, say, for a missing one."""
    return "=" + name


def _numbers(values: pd.DataFrame, path: Path, layout: TableLayout, row_names: np.ndarray, n_read: int) -> np.ndarray:
    """Values of some rows, [rows, columns]. Raises `ReadError` that names the first that is no number."""
    columns: list[np.ndarray] = []
    wrong: list[tuple[int, int]] = []
    if all(dtype.kind in "fiu" for dtype in values.dtypes):
        return values.to_numpy()
    for number, column in values.items():
        if column.dtype.kind in "fiu":
            columns.append(column.to_numpy(dtype=np.float64))
            continue
        # Whole numbers beyond 64 bits come as text, and so do True and False, which are no counts.
        written = column.astype(object).where(column.notna(), "nan").astype(str)
        good = written.map(is_number)
        wrong += [(int(np.flatnonzero(~good)[0]), int(str(number)))] if not good.all() else []
        columns.append(written.where(good, "nan").astype(np.float64).to_numpy())
    if wrong:
        row, number = min(wrong)
        raise invalid_table(
            path,
            "numbers",
            f"{values.loc[values.index[row], number]!r} in row {n_read + row + 2} ({row_names[row]!r}), column "
            f"{layout.column_name(number)!r}, and text in {len(wrong) - 1} other columns",
        )
    return np.column_stack(columns)


def _raise_if_ragged(path: Path, layout: TableLayout, limits: ReadLimits) -> None:
    """Read the table once more, field by field; raise `ReadError` at the first row of another length."""
    with _open_text(path, limits) as lines:
        _, rows = rows_after_header(lines, layout.delimiter)
        for number, row in enumerate(rows, start=2):
            if len(row) != layout.n_fields:
                last = layout.column_name(min(len(row), layout.n_fields) - 1)
                raise invalid_table(
                    path,
                    f"{layout.n_fields} fields in every row",
                    f"{len(row)} in row {number} ({row[0]!r}), "
                    + (f"which ends at column {last!r}" if len(row) < layout.n_fields else f"beyond column {last!r}"),
                )


def _check_orientation(path: Path, layout: TableLayout, row_names: np.ndarray, *, genes_by_cells: bool) -> None:
    """Raise `ReadError` for a table that looks as if it were the other way round."""
    rows = [str(name) for name in row_names]
    if genes_by_cells:
        swapped = names_swapped(gene_names=rows, cell_ids=layout.names, rows_are=layout.corner, genes_in_rows=True)
        expected, found = "genes in rows, cells in columns", "what looks like cells in rows and genes in columns"
        remedy = "Omit --genes-by-cells (genes_by_cells=False in Python)."
    else:
        swapped = names_swapped(gene_names=layout.names, cell_ids=rows, rows_are=layout.corner, genes_in_rows=False)
        expected, found = "cells in rows, genes in columns", "what looks like genes in rows and cells in columns"
        remedy = "If it is genes x cells, say --genes-by-cells (genes_by_cells=True in Python)."
    if swapped:
        examples = (*(f"row {name!r}" for name in rows[:2]), *(f"column {name!r}" for name in layout.names[:2]))
        raise ReadError.of(
            "TABLE_TRANSPOSED", where=str(path), expected=expected, found=found, remedy=remedy, examples=examples
        )


def _check_names(path: Path, row_names: np.ndarray, layout: TableLayout) -> None:
    """Raise `ReadError` for a table without names: its values stand where the names should be."""
    for where, names in (("first column", row_names), ("header", np.array(layout.names, dtype=object))):
        if len(set(names)) < len(names) and all(is_number(str(name)) for name in names):
            raise invalid_table(
                path,
                f"names in the {where}",
                "numbers that repeat",
                "Write the table with its cell ids and its gene names.",
            )
