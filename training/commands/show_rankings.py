"""Rankings in a terminal: the first genes of each type, and how far several rankings agree."""

from collections.abc import Callable
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

COLUMNS: dict[str, tuple[str, Callable[[Any], str]]] = {
    "cell_type": ("cell type", str),
    "rank": ("rank", str),
    "gene_symbol": ("gene", str),
    "marker_score": ("score", "{:.3g}".format),
    "fraction_in": ("% in", "{:.0%}".format),
    "fraction_out": ("% out", "{:.0%}".format),
    "log2_fold_change": ("log2FC", "{:.2f}".format),
    "auc": ("AUC", "{:.2f}".format),
    "p_value_adj": ("p adj", "{:.1g}".format),
    "donor_fraction": ("donors", "{:.0%}".format),
}
TEXTS = ("cell type", "gene")


def show_ranking(table: pd.DataFrame, title: str, *, top: int) -> None:
    """The first `top` genes of each type, with what tells how far to trust each; without columns that have no value."""
    rows = table[table["rank"] <= top]
    shown = {name: entry for name, entry in COLUMNS.items() if rows[name].notna().any()}
    lines = _table(title)
    for heading, _ in shown.values():
        _column(lines, heading, text=heading in TEXTS)
    types = rows["cell_type"].tolist()
    for number, row in enumerate(rows[list(shown)].itertuples(index=False)):
        last = number + 1 < len(types) and types[number + 1] != types[number]
        cells = ("-" if pd.isna(value) else text(value) for value, (_, text) in zip(row, shown.values(), strict=True))
        lines.add_row(*map(Text, cells), end_section=last and top > 1)
    Console(highlight=False).print(lines)


def show_rankings(table: pd.DataFrame, overlap: pd.DataFrame, *, top: int, overlap_top: int) -> None:
    """The first genes of each type by each ranking, a line each, and the genes that rankings share."""
    lines = _table(f"The first {top} genes of each type")
    for heading in ("cell type", "ranking", "genes, best first"):
        _column(lines, heading, text=True)
    best = table[table["rank"] <= top]
    for cell_type in pd.unique(table["cell_type"]):
        for number, ranking in enumerate(overlap.index):
            genes = best.loc[(best["cell_type"] == cell_type) & (best["ranking"] == ranking), "gene_symbol"]
            name = Text(str(cell_type) if number == 0 else "")
            lines.add_row(name, ranking, Text(", ".join(genes)), end_section=number + 1 == len(overlap))
    shared = _table(None)
    _column(shared, "", text=True)
    for ranking in overlap.columns:
        _column(shared, ranking, text=False)
    for ranking, row in overlap.iterrows():
        shared.add_row(str(ranking), *(f"{value:.1f}" for value in row))
    console = Console(highlight=False)
    console.print(lines)
    # Not as the title, which would be folded to the width of few columns.
    console.print(
        f"Genes that two rankings share among the first {overlap_top} of a type, mean over types", style="italic"
    )
    console.print(shared)


def _table(title: str | None) -> Table:
    return Table(
        title=title and Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
    )


def _column(table: Table, heading: str, *, text: bool) -> None:
    if text:
        table.add_column(heading, overflow="fold")
    else:
        table.add_column(heading, justify="right", no_wrap=True)
