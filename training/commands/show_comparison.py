"""Changes of markers in a terminal: how many of each verdict, and the largest of them."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..markers.change_verdict import GAINED, KEPT, LOST, NOT_COMPARED, STRONGER, UNDECIDED, WEAKER
from ..markers.compare_conditions import Comparison
from ..markers.contrasts import Contrast

COUNTED = (GAINED, LOST, STRONGER, WEAKER, KEPT, UNDECIDED)
CHANGED = (GAINED, LOST, STRONGER, WEAKER)
WIDEST = 13
"""Characters of a name beside numbers, which would be cut in its stead."""


def show_comparison(comparison: Comparison, *, top: int) -> None:
    """For each comparison: its design, a line per type with the number of markers of each verdict, and the largest
    changes: the first `top` of each type of those that are decided, or of all where there are no intervals; the first
    `top` over all types where nothing is decided.
    """
    console = Console(highlight=False)
    for contrast, n_tested in zip(comparison.contrasts, comparison.n_tested, strict=True):
        of_contrast = comparison.table[comparison.table["condition"] == contrast.condition]
        rows = of_contrast[of_contrast["verdict"] != NOT_COMPARED]
        console.print(Text(f"{contrast.condition} against {contrast.reference}", style="bold"))
        console.print(design_in_words(contrast, n_tested), markup=False, soft_wrap=True)
        console.print(_counts(rows))
        changed = rows[rows["verdict"].isin(CHANGED)]
        if len(changed):
            console.print(
                _changes(changed.groupby("cell_type", observed=True, sort=False).head(top), "Decided changes")
            )
        elif contrast.design is None:
            first = rows.groupby("cell_type", observed=True, sort=False).head(top)
            console.print(_changes(first, "The largest differences. None can be distinguished from chance"))
        elif len(rows):
            undecided = rows[rows["verdict"] == UNDECIDED]
            largest = undecided.loc[undecided["change"].abs().sort_values(ascending=False, kind="stable").index[:top]]
            console.print(_changes(largest, "No change is decided; the largest that are not"))
        missing = of_contrast[of_contrast["verdict"] == NOT_COMPARED]
        for cell_type, reason in zip(missing["cell_type"], missing["reason"], strict=True):
            console.print(f"Not compared: {cell_type}: {reason}.", style="yellow", markup=False, soft_wrap=True)
        console.print()


def design_in_words(contrast: Contrast, n_tested: int) -> str:
    """What is compared with what, and what the intervals rest on."""
    before, after = len(contrast.before), len(contrast.after)
    if contrast.design is None:
        return "No donors were named (--donor), so there are no intervals and nothing is decided."
    words = {
        "independent": f"{_donors(after)} against {_donors(before)}",
        "paired": f"{_donors(after)} in both, each compared with itself",
        "single": f"one donor against {before} others, with the spread of the others",
    }
    return f"{words[contrast.design]}; {n_tested:,} tests, p adjusted over all of them (Benjamini-Hochberg)."


def _donors(number: int) -> str:
    return "1 donor" if number == 1 else f"{number} donors"


def _counts(rows: pd.DataFrame) -> Table:
    table = _table("Markers of each type", ["cell type"], COUNTED)
    for cell_type in pd.unique(rows["cell_type"]):
        numbers = rows.loc[rows["cell_type"] == cell_type, "verdict"].value_counts()
        table.add_row(Text(str(cell_type)), *(str(numbers.get(name, 0)) for name in COUNTED))
    return table


def _changes(rows: pd.DataFrame, title: str) -> Table:
    with_interval = bool(rows["change_low"].notna().any())
    # Reference and condition share a column: all of them have to fit 80 characters.
    numbers = ["log2FC", "change", *(["interval", "p adj"] if with_interval else []), "cells"]
    table = _table(title, ["type, gene", "verdict"], numbers)
    types = rows["cell_type"].tolist()
    for number, row in enumerate(rows.to_dict("records")):
        known = pd.notna(row["change_low"])
        interval = [
            f"{row['change_low']:+.1f}, {row['change_high']:+.1f}" if known else "-",
            f"{row['p_value_adj']:.1g}" if known else "-",
        ]
        if number == 0 or types[number - 1] != types[number]:
            # On a line of its own: beside the numbers it would be broken to pieces.
            table.add_row(Text(types[number], style="bold"))
        table.add_row(
            Text(f"  {row['gene_symbol']}"),
            row["verdict"],
            f"{row['log2_fold_change_reference']:.1f} to {row['log2_fold_change_condition']:.1f}",
            f"{row['change']:+.1f}",
            *(interval if with_interval else []),
            f"{100 * row['fraction_reference']:.0f} to {row['fraction_condition']:.0%}",
        )
    return table


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in texts:
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=WIDEST if len(texts) > 1 else None)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
