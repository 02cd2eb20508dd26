"""The table of changed markers: one row per comparison, cell type and gene. Its columns are fixed here."""

import pandas as pd

from cellmark.schemas.manifest.marker_table import MarkerColumn

COLUMNS: dict[str, MarkerColumn] = {
    "cell_type": MarkerColumn("string", "the cell type that the gene marks"),
    "condition": MarkerColumn("string", "the condition that is compared"),
    "reference": MarkerColumn("string", "what it is compared with: a condition, or all others together"),
    "gene_symbol": MarkerColumn("string", "the gene; null in the one row of a type that cannot be compared"),
    "gene_id": MarkerColumn("string", "Ensembl id, where known"),
    "verdict": MarkerColumn("string", "gained, lost, stronger, weaker, kept, undecided, no marker or not compared"),
    "log2_fold_change_reference": MarkerColumn(
        "float64",
        "in the reference, log2 of (mean counts per 10,000 in the type + 1) over (mean of the other types' means + 1); "
        "mean over donors",
    ),
    "log2_fold_change_condition": MarkerColumn("float64", "the same in the condition"),
    "change": MarkerColumn("float64", "condition minus reference: 1 is twice as specific, -1 half as specific"),
    "change_low": MarkerColumn("float64", "lower end of the interval of the change over donors"),
    "change_high": MarkerColumn("float64", "its upper end"),
    "p_value": MarkerColumn("float64", "moderated t-test of no change, with donors as its units"),
    "p_value_adj": MarkerColumn(
        "float64", "the same after Benjamini-Hochberg over all types and genes tested in the comparison"
    ),
    "change_in_type": MarkerColumn("float64", "part of the change that the type's own expression made (log2)"),
    "change_in_rest": MarkerColumn(
        "float64", "rise of the gene in the other types (log2), which takes from the change: change = type - rest"
    ),
    "fraction_reference": MarkerColumn("float64", "fraction of the type's cells with a count, mean over donors"),
    "fraction_condition": MarkerColumn("float64", "the same in the condition"),
    "n_donors_reference": MarkerColumn("Int64", "donors with enough cells of the type; null without donors"),
    "n_donors_condition": MarkerColumn("Int64", "the same in the condition"),
    "n_cells_reference": MarkerColumn("Int64", "cells of the type in the reference"),
    "n_cells_condition": MarkerColumn("Int64", "the same in the condition"),
    "design": MarkerColumn(
        "string", "independent: other donors in each; paired: the same donors in both; single: one donor against others"
    ),
    "reason": MarkerColumn("string", "why there is no interval or no comparison; null where there is one"),
}


def change_table(rows: pd.DataFrame) -> pd.DataFrame:
    """All columns in their order and dtypes. `rows`: with any of them; what is missing is null."""
    return pd.DataFrame(
        {
            name: rows[name].astype(column.dtype)  # type: ignore[call-overload]
            if name in rows
            else pd.Series([pd.NA] * len(rows), dtype=column.dtype if column.dtype != "float64" else "Float64").astype(
                column.dtype  # type: ignore[call-overload]
            )
            for name, column in COLUMNS.items()
        }
    )
