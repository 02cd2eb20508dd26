"""The best markers as data inside the page: what its search reads, and what it saves as CSV."""

import json

import numpy as np
import pandas as pd
from markupsafe import Markup

from .facts import ReportFacts

RANKS = 100
"""Genes of each type, as in the bundle's `markers.csv`."""
COLUMNS = (
    "rank", "gene_symbol", "gene_id", "direction", "marker_score", "mean_in", "mean_out", "fraction_in",
    "fraction_out", "log2_fold_change", "auc", "p_value_adj", "n_donors_holding", "n_donors", "stability",
)  # fmt: skip


def marker_data(facts: ReportFacts) -> Markup:
    """JSON for a block of data: `types`, and columns of the marker table of each type's first genes (`cell_type` is a
    place in `types`). Nothing in it ends the block.
    """
    markers = facts.markers
    shown = markers[(markers["rank"] <= RANKS).fillna(False).astype(bool)]
    names = facts.manifest.cell_type_names
    codes = {name: code for code, name in enumerate(names)}
    shown = shown[shown["cell_type"].isin(names)]
    columns: dict[str, list[Plain]] = {"cell_type": [codes[str(name)] for name in shown["cell_type"]]}
    columns |= {name: _plain(shown[name]) for name in COLUMNS if name in shown and shown[name].notna().any()}
    text = json.dumps({"model": facts.name, "types": names, "columns": columns}, separators=(",", ":"))
    for sign, escaped in (("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")):
        text = text.replace(sign, escaped)
    return Markup(text)  # noqa: S704  # no angle bracket is left in it


Plain = str | int | float | None


def _plain(values: pd.Series) -> list[Plain]:
    """Values of a column as JSON has them, numbers with four digits."""
    if pd.api.types.is_integer_dtype(values.dtype):
        return [None if pd.isna(value) else int(value) for value in values]
    if pd.api.types.is_float_dtype(values.dtype):
        return [float(f"{value:.4g}") if np.isfinite(value) else None for value in values.astype(float)]
    return [None if pd.isna(value) else str(value) for value in values]
