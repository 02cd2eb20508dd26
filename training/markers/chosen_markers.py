"""Genes of a given marker table, found again in other cells."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellmark.schemas.errors import Finding, GeneOverlapError, LabelError


def chosen_markers(
    table: pd.DataFrame, *, cell_types: Sequence[str], gene_symbols: Sequence[str], ranks: int
) -> np.ndarray:
    """The first `ranks` genes of each type that are present in it, bool [types, genes].

    `table`: as `read_marker_file` gives it; of several rankings each counts. Types and genes that the cells lack are
    left out. Raises `LabelError` when no cell type is in the table, `GeneOverlapError` when none of its genes is there.
    """
    rows = table[table["rank"] <= ranks]
    if "direction" in rows:
        rows = rows[rows["direction"] != "negative"]
    rows = rows[rows["cell_type"].isin(cell_types)]
    if rows.empty:
        raise LabelError(
            Finding("LABEL_COLUMN_UNKNOWN", "markers", f"cell types such as {', '.join(list(cell_types)[:3])}",
                    "none of them in the marker table", "Take a table of markers of these types, or another label.",
                    "error", tuple(pd.unique(table["cell_type"])[:5]))
        )  # fmt: skip
    numbers = {name: number for number, name in enumerate(gene_symbols)}
    rows = rows[rows["gene_symbol"].isin(numbers)]
    if rows.empty:
        raise GeneOverlapError(
            Finding("NO_GENES_SHARED", "markers", f"gene symbols such as {', '.join(list(gene_symbols)[:3])}",
                    "none of the markers among them", "Name the genes as the cells do.", "error",
                    tuple(pd.unique(table["gene_symbol"])[:5]))
        )  # fmt: skip
    chosen = np.zeros((len(cell_types), len(gene_symbols)), dtype=bool)
    codes = rows["cell_type"].map({name: code for code, name in enumerate(cell_types)}).to_numpy(dtype=int)
    chosen[codes, rows["gene_symbol"].map(numbers).to_numpy(dtype=int)] = True
    return chosen
