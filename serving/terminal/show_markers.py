"""Markers and new populations in a terminal: which gene to order an antibody for, and how far to trust it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.calls.new_populations import CalledCells, NewPopulations
from cellmark.schemas.manifest.marker_table import donors_holding


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
    Shown("donors", "donors", str),
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
    rows = rows.assign(donors=donors_holding(rows))
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


SIDE_BY_SIDE = 4
"""Populations in one table: more columns would be too narrow to read."""
MARKERS = (
    Shown("population", "", str),
    Shown("rank", "rank", str),
    Shown("gene_symbol", "gene", str),
    Shown("in_panel", "in panel", lambda value: "yes" if value else "no"),
    Shown("marker_score", "score", "{:.3g}".format),
    Shown("fraction_in", "% in", "{:.0%}".format),
    Shown("fraction_next", "% next", "{:.0%}".format),
    Shown("log2_fold_change_next", "log2FC next", "{:.2f}".format),
    Shown("next_cell_type", "next", str),
    Shown("auc", "AUC", "{:.2f}".format),
    Shown("donor_fraction", "donors", "{:.0%}".format),
)


def show_populations(found: NewPopulations, called: CalledCells, *, top: int) -> None:
    """A table of what the populations are like, one of their first `top` markers, and a sentence on what is left."""
    console = Console(highlight=False)
    n_unassigned = len(found.cells)
    share = n_unassigned / max(called.n_cells, 1)
    limit = f"{called.threshold:.2f}"
    if called.is_of_sample:
        limit = f"the thresholds of this sample's types (the model's is {limit})"
    console.print(
        f"{n_unassigned:,} of {called.n_cells:,} cells ({share:.1%}) have a novelty above {limit}; "
        f"{int(found.cells.notna().sum()):,} of them are in {_count(len(found.populations))}.",
        markup=False,
    )
    if not len(found.populations):
        return
    rows: list[Mapping[Any, Any]] = [row.to_dict() for _, row in found.populations.iterrows()]
    for first in range(0, len(rows), SIDE_BY_SIDE):
        console.print(_table(rows[first : first + SIDE_BY_SIDE], title="New populations" if first == 0 else None))
    own = found.markers[(found.markers["rank"] <= top) & found.markers["own"]]
    if len(own):
        show_markers(own, "Genes of its own: surely above every called type, and twice as high", columns=MARKERS)


def _table(rows: list[Mapping[Any, Any]], *, title: str | None) -> Table:
    """A column for each population; lines that no population has a value for are left out."""
    table = Table(title=title and Text(title), title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("")
    for row in rows:
        table.add_column(Text(str(row["population"])), overflow="fold")
    for heading, text in LINES:
        values = [text(row) for row in rows]
        if any(values):
            style = "yellow" if heading == "beware" else ""
            table.add_row(heading, *(Text(value, style=style) for value in values))
    return table


def _count(n_populations: int) -> str:
    if n_populations == 0:
        return "no population"
    return "1 population" if n_populations == 1 else f"{n_populations} populations"


def _beside(row: Mapping[Any, Any], name: str, form: str) -> str:
    own, called = row[name], row[f"{name}_called"]
    if pd.isna(own):
        return ""
    text = form.format(own)
    return text if pd.isna(called) else f"{text} ({form.format(called)})"


LINES: tuple[tuple[str, Callable[[Mapping[Any, Any]], str]], ...] = (
    ("cells", lambda row: f"{row['n_cells']:,} ({row['share']:.1%})"),
    ("most like", lambda row: row["best_cell_types"]),
    ("median novelty", lambda row: f"{row['novelty']:.2f} (threshold {row['threshold']:.2f})"),
    (
        "called cells among them",
        lambda row: (
            f"{row['n_alike']:,}" + ("" if pd.isna(row["alike_cell_types"]) else f": {row['alike_cell_types']}")
        ),
    ),
    ("counts a cell (called types)", lambda row: _beside(row, "library_size", "{:,.0f}")),
    ("genes a cell (called types)", lambda row: _beside(row, "genes_detected", "{:,.0f}")),
    ("mitochondrial (called types)", lambda row: _beside(row, "mitochondrial_share", "{:.1%}")),
    ("donors", lambda row: "" if pd.isna(row["donors"]) else row["donors"]),
    (
        "genes of its own",
        lambda row: (
            ""
            if pd.isna(row["n_markers"])
            else f"{row['n_markers']} ({row['n_markers_outside_panel']} that the model does not look at)"
        ),
    ),
    ("first of them", lambda row: "" if pd.isna(row["top_markers"]) else row["top_markers"]),
    ("beware", lambda row: row["warnings"] or ""),
)
