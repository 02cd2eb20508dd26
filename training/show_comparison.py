"""Changes of markers in a terminal: how many of each verdict, and the largest of them."""

from collections.abc import Sequence

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .change_verdict import GAINED, KEPT, LOST, NOT_COMPARED, STRONGER, UNDECIDED, WEAKER
from .compare_conditions import Comparison
from .contrasts import Contrast

COUNTED = (GAINED, LOST, STRONGER, WEAKER, KEPT, UNDECIDED)
CHANGED = (GAINED, LOST, STRONGER, WEAKER)


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
            console.print(_changes(first, "The largest differences, none of which can be told from chance"))
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
    numbers = ["log2FC ref", "cond", "change", *(["interval", "p adj"] if with_interval else []), "% ref", "% cond"]
    table = _table(title, ["cell type", "gene", "verdict"], numbers)
    types = rows["cell_type"].tolist()
    for number, row in enumerate(rows.to_dict("records")):
        known = pd.notna(row["change_low"])
        interval = [
            f"{row['change_low']:+.1f} to {row['change_high']:+.1f}" if known else "-",
            f"{row['p_value_adj']:.1g}" if known else "-",
        ]
        table.add_row(
            Text(types[number] if number == 0 or types[number - 1] != types[number] else ""),
            Text(row["gene_symbol"]),
            row["verdict"],
            f"{row['log2_fold_change_reference']:.1f}",
            f"{row['log2_fold_change_condition']:.1f}",
            f"{row['change']:+.1f}",
            *(interval if with_interval else []),
            f"{row['fraction_reference']:.0%}",
            f"{row['fraction_condition']:.0%}",
        )
    return table


def _table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for heading in texts:
        table.add_column(heading, overflow="fold")
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table
