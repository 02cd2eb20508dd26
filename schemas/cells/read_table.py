"""Tables of counts: .csv, .tsv, .txt (also .gz), cells x genes or, when said so, genes x cells."""

import io
import re
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ReadError
from .cell_source import MemoryCells
from .open_limited import open_limited
from .read_limits import NO_LIMITS, ReadLimits
from .read_long_table import long_columns, read_long_table
from .reading import reading
from .table_headers import GENE_COLUMNS, MEASURES, ONLY_OF_GENES, plain_header
from .table_layout import TableLayout, edited, find_layout, invalid_table, is_number, no_cells, no_genes
from .table_orientation import ENSEMBL, names_cell, names_gene, names_swapped

EXPECTED = "a table of counts (.csv, .tsv or .txt)"
NUMBER_WITH_COMMA = re.compile(r"[-+]?\d[\d.]*,[\d,.]*")
SHOWN = 8
LONGEST_SHOWN = 200
VALUES_AT_ONCE = 4_000_000
"""Values parsed at once before they become sparse."""


def read_table(path: Path, *, genes_by_cells: bool = False, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of a table: one row per cell, a header of gene names, cell ids in the first column.

    Columns that describe the cells, such as their types, go to `obs`. `genes_by_cells`: one row per gene instead, a
    header of cell ids; what describes the genes, such as their length, then goes to `var`. One row per gene and cell
    (gene, cell, count) is read as well. Duplicate genes stay, and values are not judged here. Raises `ReadError`:
    values that are no numbers, rows of unequal length, no cells or no genes, a table that looks as if it were the other
    way round.
    """
    with reading(path, EXPECTED):
        columns = "cells" if genes_by_cells else "genes"
        with _open_text(path, limits) as lines:
            layout = find_layout(
                lines,
                path,
                genes_by_cells=genes_by_cells,
                check_width=lambda width: limits.check(str(path), **{columns: width}),
            )
        if (long := long_columns(layout, path)) is not None:
            with _open_text(path, limits) as lines:
                layout.rows_after_header(lines)
                return read_long_table(lines, path, layout, long, limits)
        _refuse_measures(path, layout)
        _refuse_without_header(path, layout)
        _check_orientation(path, layout, layout.sample, genes_by_cells=genes_by_cells)
        row_names, described, X = _parse(path, layout, limits, rows="genes" if genes_by_cells else "cells")
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
    for header, values in described.items():
        (var if genes_by_cells else obs)[header] = values
    if (ids_and_symbols := _ids_and_symbols(genes)) is not None:
        var["gene_ids"], genes = ids_and_symbols
        var.index = pd.Index(genes, dtype=object)
    notes = _columns_note(path, layout, genes_by_cells=genes_by_cells)
    return MemoryCells(X, genes.astype(str), obs, name=path.name, counts_from="table", notes=notes, var=var)


def _ids_and_symbols(genes: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """The ids and the symbols in names such as `ENSG00000156738.18|MS4A1`, as the UCSC Cell Browser writes them."""
    parts = [str(name).partition("|") for name in genes]
    if not all(mark and symbol and ENSEMBL.fullmatch(gene_id) for gene_id, mark, symbol in parts):
        return None
    return tuple(np.array([part[k] for part in parts], dtype=object) for k in (0, 2))  # type: ignore[return-value]


def _columns_note(path: Path, layout: TableLayout, *, genes_by_cells: bool) -> tuple[Finding, ...]:
    """What was not read as values; nothing of the one column of text that the published layout has."""
    if not layout.kept or (not genes_by_cells and layout.kept == (1,)):
        return ()
    headers = [layout.headers[number] for number in layout.kept]
    one = len(headers) == 1
    note = Finding(
        "TABLE_COLUMNS_IGNORED",
        where=str(path),
        expected="cells as columns" if genes_by_cells else "genes as columns",
        found=f"{len(headers)} {'column that describes' if one else 'columns that describe'} the "
        f"{'genes' if genes_by_cells else 'cells'}: "
        f"{', '.join(headers[:SHOWN])}{', ...' if len(headers) > SHOWN else ''}",
        remedy=f"Not read as counts: kept in {'var' if genes_by_cells else 'obs'}.",
        severity="info",
    )
    return (note,)


def _refuse_measures(path: Path, layout: TableLayout) -> None:
    """Raise `ReadError` for a table without any cell: measures of one sample, as programs for bulk RNA write them."""
    measures = [name for name in layout.headers[1:] if plain_header(name) in MEASURES]
    if measures and not [name for name in layout.names if plain_header(name) not in MEASURES | GENE_COLUMNS]:
        raise invalid_table(
            path,
            "a column for each cell, or one row for each gene and cell",
            f"no cell: {', '.join(measures[:SHOWN])} {'measures' if len(measures) == 1 else 'measure'} one sample",
            "Provide the counts of single cells. Counts of gene and cell need a column of cells, called cell; a sample "
            "is read as one cell when its column has another name: "
            f"{edited(path, f'{layout.n_skipped + 1}s/{measures[0]}/sample_1/', 'renamed')}",
        )


def _open_text(path: Path, limits: ReadLimits) -> AbstractContextManager[TextIO]:
    """The lines of a plain or compressed file; a byte order mark is skipped."""
    stream = open_limited(path, limits.max_unpacked_bytes, is_text=True)
    return io.TextIOWrapper(stream, encoding="utf-8-sig", newline="")


def _parse(
    path: Path, layout: TableLayout, limits: ReadLimits, *, rows: str
) -> tuple[np.ndarray, dict[str, np.ndarray], sp.csr_matrix]:
    """Row names [rows], columns that describe rows by their headers [rows], and the values: CSR, rows x columns.

    `rows`: what the rows are, `cells` or `genes`.
    """
    names: list[np.ndarray] = []
    texts: list[list[np.ndarray]] = [[] for _ in layout.kept]
    blocks = [sp.csr_matrix((0, len(layout.values)), dtype=np.int64)]
    lengths_checked = False
    n_read, n_nonzero = 0, 0
    with _open_text(path, limits) as lines:
        layout.rows_after_header(lines)
        for frame in _frames(lines, path, layout, limits):
            # pandas fills short rows with missing values.
            if not lengths_checked and (frame.shape[1] != len(layout.headers) or frame.iloc[:, -1].isna().any()):
                _raise_if_ragged(path, layout, limits)
                lengths_checked = True
            names.append(np.array([name[1:] for name in frame[layout.row_names]], dtype=object))
            for kept, number in zip(texts, layout.kept, strict=True):
                kept.append(frame[number].to_numpy(dtype=object))
            if layout.empty is not None and frame[layout.empty].notna().any():
                raise invalid_table(path, "a header for every column", "a last column with values but without a header")
            values = frame.iloc[:, list(layout.values)] if layout.described or layout.empty else frame.iloc[:, 1:]
            blocks.append(sp.csr_matrix(_numbers(values, path, layout, names[-1], n_read)))
            n_read, n_nonzero = n_read + len(frame), n_nonzero + blocks[-1].nnz
            limits.check(str(path), **{rows: n_read}, nonzeros=n_nonzero)
    row_names = np.concatenate(names) if names else np.empty(0, dtype=object)
    described = {layout.headers[k]: np.concatenate(kept) for k, kept in zip(layout.kept, texts, strict=True) if kept}
    return row_names, described, sp.csr_matrix(sp.vstack(blocks, format="csr"))


def _frames(lines: TextIO, path: Path, layout: TableLayout, limits: ReadLimits) -> Iterator[pd.DataFrame]:
    """The rows after the header, some at a time, columns numbered. Names stay as they are written."""
    try:
        with pd.read_csv(
            lines,
            sep=layout.delimiter,
            header=None,
            converters={layout.row_names: _kept},
            dtype=dict.fromkeys(layout.described, object) or None,
            chunksize=max(VALUES_AT_ONCE // len(layout.headers), 1),
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
        value = values.loc[values.index[row], number]
        raise invalid_table(
            path,
            "numbers",
            f"{value!r} in row {n_read + row + 2 + layout.n_skipped} ({row_names[row]!r}), column "
            f"{layout.headers[number]!r}, and text in {len(wrong) - 1} other columns",
            _remedy_of_text(path, str(value), n_read + row + 2 + layout.n_skipped, len(wrong) * 2 > values.shape[1]),
        )
    return np.column_stack(columns)


def _remedy_of_text(path: Path, value: str, number: int, most_of_row: bool) -> str:
    """What to do about text among the numbers. Empty where nothing special is known."""
    if NUMBER_WITH_COMMA.fullmatch(value.strip()):
        return "Write the numbers without commas, which may be decimal or of thousands: 1.5, 1000."
    if most_of_row:
        return f"A row that holds no counts has to go: {edited(path, f'{number}d', 'counts')}"
    return ""


def _raise_if_ragged(path: Path, layout: TableLayout, limits: ReadLimits) -> None:
    """Read the table once more, field by field; raise `ReadError` at the first row of another length."""
    n_fields = len(layout.headers)
    with _open_text(path, limits) as lines:
        for number, row in enumerate(layout.rows_after_header(lines), start=2 + layout.n_skipped):
            if len(row) != n_fields:
                last = layout.headers[min(len(row), n_fields) - 1]
                raise invalid_table(
                    path,
                    f"{n_fields} fields in every row",
                    f"{len(row)} in row {number} ({row[0]!r}), "
                    + (f"which ends at column {last!r}" if len(row) < n_fields else f"beyond column {last!r}"),
                )


def _refuse_without_header(path: Path, layout: TableLayout) -> None:
    """Raise `ReadError` for a table whose first row is one of a gene, or of a cell, and its values."""
    corner, numbers = layout.corner, bool(layout.names) and all(map(is_number, layout.names))
    if numbers and any(map(str.isdigit, corner)) and (names_gene(corner) or names_cell(corner)):
        header = layout.delimiter.join(["id", *(f"cell_{k + 1}" for k in range(len(layout.names)))])
        script = f"{layout.n_skipped + 1}i {header}"
        raise invalid_table(
            path,
            "a header with the names of the columns",
            f"a first row that looks like the others: {corner}, {', '.join(layout.names[:3])}",
            "Write the table again with a header"
            + (f": {edited(path, script, 'named')}" if len(header) < LONGEST_SHOWN else "."),
        )


def _check_orientation(path: Path, layout: TableLayout, row_names: Iterable[str], *, genes_by_cells: bool) -> None:
    """Raise `ReadError` for a table that looks as if it were the other way round."""
    rows = [str(name) for name in row_names]
    if genes_by_cells:
        swapped = names_swapped(gene_names=rows, cell_ids=layout.names, rows_are=layout.corner, genes_in_rows=True)
        expected, found = "genes in rows, cells in columns", "what looks like cells in rows and genes in columns"
        remedy = "Omit --genes-by-cells (genes_by_cells=True in Python)."
    else:
        of_genes = any(plain_header(name) in ONLY_OF_GENES for name in layout.headers[1:])
        rows_are = "gene" if of_genes else layout.corner
        swapped = names_swapped(gene_names=layout.names, cell_ids=rows, rows_are=rows_are, genes_in_rows=False)
        expected, found = "cells in rows, genes in columns", "what looks like genes in rows and cells in columns"
        remedy = "If it is genes x cells, say --genes-by-cells (genes_by_cells=True in Python)."
    if swapped:
        columns = [name for name in layout.names if plain_header(name) not in GENE_COLUMNS] or layout.names
        examples = (*(f"row {name!r}" for name in rows[:2]), *(f"column {name!r}" for name in columns[:2]))
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
