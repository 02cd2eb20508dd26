"""Markers in a terminal: the columns that tell which gene to order an antibody for, and how far to trust it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text


def _percent(value: float) -> str:
    return f"{value:.0%}"


def _three_digits(value: float) -> str:
    return f"{value:.3g}"


class Shown(NamedTuple):
    """A column as it is shown. `column`: of the marker table."""

    column: str
    heading: str
    text: Callable[[Any], str]


COLUMNS = (
    Shown("cell_type", "cell type", str),
    Shown("rank", "rank", str),
    Shown("gene_symbol", "gene", str),
    Shown("marker_score", "score", _three_digits),
    Shown("fraction_in", "% in", _percent),
    Shown("fraction_out", "% out", _percent),
    Shown("log2_fold_change", "log2FC", "{:.2f}".format),
    Shown("auc", "AUC", "{:.2f}".format),
    Shown("p_value_adj", "p adj", "{:.1g}".format),
    Shown("donor_fraction", "donors", _percent),
    Shown("stability", "stable", _percent),
)
NEGATIVE_COLUMNS = tuple(
    Shown("negative_rank", "rank", str) if shown.column == "rank" else shown
    for shown in COLUMNS
    if shown.column not in ("marker_score", "stability")  # of the ranking of genes that are present, not of this one
)
COMBINATION_COLUMNS = (
    Shown("cell type", "cell type", str),
    Shown("genes and what they exceed", "genes and what they exceed", str),
    *(Shown(name, name, "{:.3f}".format) for name in ("precision", "recall", "F-beta")),
)
FOLDED = ("cell type", "gene", "next", "genes and what they exceed")
"""Headings of the columns that are folded where the terminal is narrow; numbers are not."""
NARROWEST = 8
"""Characters that a folded column keeps: nearly all genes have names no longer."""


def show_markers(rows: pd.DataFrame, title: str, *, columns: Sequence[Shown] = COLUMNS) -> None:
    """Rows of the marker table as a table with a gap between cell types. Columns without any value are left out."""
    shown = [entry for entry in columns if entry.column in rows and rows[entry.column].notna().any()]
    # Without lines: eleven columns are to fit 80 characters.
    table = Table(title=Text(title), title_justify="left", box=None, padding=(0, 1, 0, 0))
    for entry in shown:
        if entry.heading in FOLDED:
            table.add_column(entry.heading, overflow="fold", min_width=NARROWEST)
        else:
            table.add_column(entry.heading, justify="right", no_wrap=True)
    first = shown[0].column
    one_row_each = rows[first].is_unique
    before = None
    for row in rows[[entry.column for entry in shown]].itertuples(index=False):
        if before not in (None, row[0]) and not one_row_each:
            table.add_row()
        before = row[0]
        table.add_row(
            *(Text("-" if pd.isna(value) else entry.text(value)) for entry, value in zip(shown, row, strict=True))
        )
    Console(highlight=False).print(table)
