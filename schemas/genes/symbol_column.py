"""Genes named by a column of `var` in place of `var_names`."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp

from ..cells.cell_source import CellSource, RowChunk
from ..errors import InputError

INDEX = "index"
"""What pipelines call `var_names` where they name a column."""
MOST_NAMED = 12


def named_by(source: CellSource, column: str | None) -> CellSource:
    """The same cells, whose genes have the names in `var[column]`; a gene without one keeps the name that it had.
    None and `index`: `source` itself. Raises `InputError` for a column that is not there.
    """
    if column is None or (column == INDEX and INDEX not in source.var):
        return source
    if column not in source.var:
        there = [str(name) for name in source.var.columns]
        listed = ", ".join(there[:MOST_NAMED]) + (", ..." if len(there) > MOST_NAMED else "")
        raise InputError.of(
            "GENE_COLUMN_UNKNOWN",
            where="symbol_column",
            expected="a column of var",
            found=f"{column!r}, where var has {listed or 'no columns'}",
            remedy="Name the column that holds the gene symbols, or omit --symbol-column to have it looked for.",
        )
    return SymbolCells(source, column)


class SymbolCells(CellSource):
    """A source whose genes are named by a column of its `var`."""

    def __init__(self, source: CellSource, column: str) -> None:
        self.source = source
        self.name, self.obs, self.uns, self.counts_from = source.name, source.obs, source.uns, source.counts_from
        given = source.var[column].astype(object)
        symbols = given.where(given.notna(), "").astype(str).str.strip().to_numpy(dtype=object)
        self.var_names = np.where(symbols == "", np.asarray(source.var_names, dtype=object), symbols).astype(str)
        self.var = source.var.set_axis(self.var_names, axis="index")
        self.others, self.notes, self.normalised = source.others, source.notes, source.normalised
        self.layout = source.layout
        self.lies_at(source.first_row, source.n_total)

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        return self.source.chunks(n_rows)

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self.source.take(rows)

    def close(self) -> None:
        self.source.close()
