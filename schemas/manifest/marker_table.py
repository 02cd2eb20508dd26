"""The marker table: one row per cell type and gene. Its columns are fixed here; what is not measured is null."""

from typing import NamedTuple

import numpy as np
import pandas as pd


class MarkerColumn(NamedTuple):
    """`dtype`: of the pandas column. `meaning`: one line for people."""

    dtype: str
    meaning: str


COLUMNS: dict[str, MarkerColumn] = {
    "cell_type": MarkerColumn("string", "the cell type that the gene marks"),
    "rank": MarkerColumn("Int64", "place among the type's genes, 1 is best"),
    "gene_symbol": MarkerColumn("string", "the gene, named as in the training data"),
    "gene_id": MarkerColumn("string", "Ensembl id, where known"),
    "marker_score": MarkerColumn("float64", "what the rank orders by, larger is better"),
    "ranking": MarkerColumn("string", "name of the ranking that gave marker_score"),
    "negative_rank": MarkerColumn(
        "Int64", "place among the genes whose absence marks the type, 1 is best; null for all other genes"
    ),
    "direction": MarkerColumn("string", "positive: present in the type; negative: absent from it"),
    "mean_contribution": MarkerColumn(
        "float64", "mean over the type's correctly called training cells of multiplier x expression"
    ),
    "mean_attribution": MarkerColumn(
        "float64", "the same of multiplier x (expression - baseline), the quantity that explanations serve"
    ),
    "mean_in": MarkerColumn("float64", "mean ln(1 + counts per 10,000) in the type's training cells"),
    "mean_out": MarkerColumn("float64", "the same in all other training cells"),
    "fraction_in": MarkerColumn("float64", "fraction of the type's training cells with at least one count"),
    "fraction_out": MarkerColumn("float64", "the same in all other training cells"),
    "log2_fold_change": MarkerColumn(
        "float64", "log2 of (mean counts per 10,000 in the type + 1) over (the same in all other cells + 1)"
    ),
    "auc": MarkerColumn("float64", "area under the ROC curve of expression, type against rest"),
    "cohens_d": MarkerColumn("float64", "standardised difference of means, type against rest"),
    "t_statistic": MarkerColumn(
        "float64", "published statistic T: population variance over types of the mean contribution, one value per gene"
    ),
    "t_p_value": MarkerColumn("float64", "permutation p-value of T"),
    "t_p_value_adj": MarkerColumn("float64", "the same after Benjamini-Hochberg over all genes"),
    "fold_level": MarkerColumn(
        "float64", "ranking `published` only: the largest f that the gene reaches against every other type"
    ),
    "p_value": MarkerColumn("float64", "permutation p-value of the mean expression, type against rest"),
    "p_value_adj": MarkerColumn("float64", "the same after Benjamini-Hochberg over all types and genes"),
    "donor_fraction": MarkerColumn("float64", "fraction of donors in which the marker holds"),
    "n_donors_holding": MarkerColumn("Int64", "number of donors (or batches) in which the marker holds"),
    "n_donors": MarkerColumn("Int64", "of how many donors that have enough cells to tell"),
    "stability": MarkerColumn("float64", "fraction of bootstrap resamples that select the gene"),
    "gate": MarkerColumn("float64", "weight of the learned gene gate, where one was trained"),
    "in_minimal_combination": MarkerColumn("boolean", "whether the gene is in the type's smallest sufficient set"),
    "combination_threshold": MarkerColumn(
        "float64", "ln(1 + counts per 10,000) that a cell must exceed in this gene of the minimal combination"
    ),
    "combination_precision": MarkerColumn(
        "float64", "of the cells that exceed all thresholds of the minimal combination, the fraction of the type"
    ),
    "combination_recall": MarkerColumn("float64", "of the type's cells, the fraction that exceeds them all"),
    "combination_f_beta": MarkerColumn("float64", "F-beta of the two with beta 0.5, as NS-Forest weighs them"),
}


def marker_table(**columns: object) -> pd.DataFrame:
    """A table with all columns in their order and dtypes; those not given are null.

    Sorted by the order in which cell types first occur, then rank. Raises `ValueError` on an unknown column.
    """
    unknown = set(columns) - set(COLUMNS)
    if unknown:
        raise ValueError(f"not columns of the marker table: {sorted(unknown)}")
    given = pd.DataFrame(columns)
    table = pd.DataFrame(
        {
            name: given[name].astype(column.dtype)  # type: ignore[call-overload]
            if name in given
            else pd.Series([pd.NA if column.dtype != "float64" else np.nan] * len(given), dtype=column.dtype)
            for name, column in COLUMNS.items()
        }
    )
    order = {name: number for number, name in enumerate(table["cell_type"].unique())}
    return table.sort_values(
        ["cell_type", "rank"],
        key=lambda column: column.map(order) if column.name == "cell_type" else column,
        kind="stable",
        ignore_index=True,
    )


def donors_holding(markers: pd.DataFrame) -> pd.Series:
    """For people: `3/4`, a marker that holds in three of four donors, or `75%` in tables of earlier versions.

    Null without donors; `markers`: with the columns of the marker table, or without those that a version lacked.
    """
    share = markers.get("donor_fraction", pd.Series(np.nan, index=markers.index))
    text = share.astype("float64").map("{:.0%}".format, na_action="ignore").astype("string")
    if "n_donors" not in markers:
        return text
    counted = markers["n_donors_holding"].astype("string") + "/" + markers["n_donors"].astype("string")
    return counted.fillna(text)
