"""Tables in long form: one row for each gene and cell, as UMI-tools and BD Rhapsody write them."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ReadError
from .cell_source import MemoryCells
from .read_limits import ReadLimits
from .table_headers import CELL_NAMES, COUNTS, GENE_COLUMNS, GENE_NAMES, MEASURES, OBS_COLUMNS, plain_header
from .table_layout import TableLayout, edited, invalid_table, is_number, no_cells
from .table_orientation import names_cell, names_gene

ROWS_AT_ONCE = 1_000_000
MOST_COLUMNS = 12
MOSTLY = 0.6
LongColumns = tuple[int, int, int]
"""Numbers of the columns of genes, of cells and of counts."""


def long_columns(layout: TableLayout, path: Path) -> LongColumns | None:
    """Which columns are genes, cells and counts, or None for a table that is no long one.

    Raises `ReadError` for one that looks like one and whose headers do not say.
    """
    headers = [plain_header(name) for name in layout.headers]
    if not 3 <= len(headers) <= MOST_COLUMNS:
        return None
    gene, cell, count = (
        next((headers.index(name) for name in names if name in headers), None)
        for names in (_first(headers, GENE_NAMES), _first(headers, CELL_NAMES), COUNTS)
    )
    known = GENE_COLUMNS | CELL_NAMES | OBS_COLUMNS | MEASURES | {""}
    others = {k for k, name in enumerate(headers) if name not in known} - {count}
    if gene is not None and cell is not None and count is not None and not others:
        return gene, cell, count
    if len(headers) == 3 and len(layout.described) == 1 and len(layout.values) == 1:
        _refuse_unnamed(layout, path)
    return None


def _refuse_unnamed(layout: TableLayout, path: Path) -> None:
    """Raise `ReadError` for three columns that look like genes, cells and counts under other headers, or none."""
    names, others, count = layout.row_names, layout.described[0], layout.values[0]  # noqa: PD011  (no data frame)
    listed = [[row[k] for row in layout.first_rows if len(row) == 3] for k in (names, others)]
    genes, cells = (
        [sum(map(like, listed_names)) / max(len(listed_names), 1) for listed_names in listed]
        for like in (names_gene, names_cell)
    )
    pairs = [(genes[k], cells[1 - k]) for k in (0, 1)]
    if len(set(listed[0])) == len(listed[0]) and not any(min(pair) >= MOSTLY for pair in pairs):
        return
    of_genes = others if sum(pairs[1]) > sum(pairs[0]) else names
    header = ["gene" if k == of_genes else "count" if k == count else "cell" for k in range(3)]
    written = layout.delimiter.join(header)
    line = layout.n_skipped + 1
    script = f"{line}i {written}" if is_number(layout.names[0]) else f"{line}s/.*/{written}/"
    raise invalid_table(
        path,
        "a table of cells and genes",
        f"what looks like one row for each gene and cell, with the header {', '.join(layout.headers)}",
        f"Name its columns gene, cell and count, in their order: {edited(path, script, 'named')}",
    )


def _first(headers: list[str], names: frozenset[str]) -> list[str]:
    return [name for name in headers if name in names]


def read_long_table(
    lines: TextIO, path: Path, layout: TableLayout, columns: LongColumns, limits: ReadLimits
) -> MemoryCells:
    """The cells of a table in long form, in the order in which they come, as genes do. `lines`: behind the header.

    Raises `ReadError` for counts that are no numbers, and for a gene that comes twice in a cell.
    """
    genes: dict[str, int] = defaultdict(lambda: len(genes))
    cells: dict[str, int] = defaultdict(lambda: len(cells))
    blocks: list[tuple[np.ndarray, ...]] = []
    n_rows = 0
    for frame in _frames(lines, path, layout):
        gene, cell = (_numbered(frame[k], known) for k, known in zip(columns, (genes, cells), strict=False))
        count = pd.to_numeric(frame[columns[2]], errors="coerce").to_numpy(dtype=np.float64)
        if np.isnan(count).any():
            at = int(np.flatnonzero(np.isnan(count))[0])
            raise invalid_table(
                path,
                "a number in every row",
                f"{frame[columns[2]].iloc[at]!r} in row {n_rows + at + 2 + layout.n_skipped}, column "
                f"{layout.headers[columns[2]]!r}",
                "Write the table again, with a gene, a cell and a count in every row.",
            )
        blocks.append((cell, gene, count))
        n_rows += len(frame)
        limits.check(str(path), cells=len(cells), genes=len(genes), nonzeros=n_rows)
    rows, indices, values = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    X = sp.csr_matrix((values, (rows, indices)), shape=(len(cells), len(genes)))
    if X.nnz < n_rows:
        raise invalid_table(
            path,
            "one row for each gene and cell",
            f"{n_rows - X.nnz:,} rows of a gene and cell that come before",
            "Add up the counts of rows that belong together, and name cells of several samples differently: python -c "
            f"\"import pandas as pd; t = pd.read_csv('{path}', sep={layout.delimiter!r}, skiprows={layout.n_skipped}); "
            f"t.groupby([{', '.join(repr(layout.headers[k]) for k in columns[:2])}])[{layout.headers[columns[2]]!r}]"
            ".sum().to_csv('summed.csv')\"",
        )
    if not (X.data % 1).any():
        X.data = X.data.astype(np.int64)
    note = Finding(
        "TABLE_LONG",
        where=str(path),
        expected="cells x genes",
        found=f"one row for each gene and cell ({', '.join(layout.headers[k] for k in columns)})",
        remedy=f"It was read as {X.shape[0]:,} cells x {X.shape[1]:,} genes; others count as not measured.",
        severity="info",
    )
    obs = pd.DataFrame(index=pd.Index(list(cells), dtype=object))
    return MemoryCells(X, np.array(list(genes)), obs, name=path.name, counts_from="table", notes=(note,))


def _frames(lines: TextIO, path: Path, layout: TableLayout) -> Iterator[pd.DataFrame]:
    """Rows as text, some at a time; columns are numbered."""
    if not layout.first_rows:
        raise ReadError(no_cells(path))
    try:
        with pd.read_csv(
            lines,
            sep=layout.delimiter,
            header=None,
            dtype=object,
            keep_default_na=False,
            chunksize=ROWS_AT_ONCE,
        ) as frames:
            yield from frames
    except pd.errors.ParserError as error:
        raise invalid_table(path, "rows of equal length", " ".join(str(error).split())) from error


def _numbered(names: pd.Series, known: dict[str, int]) -> np.ndarray:
    """The number of each name, new ones numbered as they come."""
    codes, unique = pd.factorize(names)
    return np.array([known[str(name)] for name in unique], dtype=np.int32)[codes]
