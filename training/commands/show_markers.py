"""What people see of the marker commands: their steps, rankings, and changes between conditions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from cellmark.schemas.errors import Finding
from cellmark.schemas.manifest.marker_table import donors_holding
from cellmark.schemas.short_message import message_lines

from ..markers.compare_conditions import Comparison
from ..markers.contrasts import Contrast
from ..markers.marker_changes import GAINED, KEPT, LOST, NOT_COMPARED, STRONGER, UNDECIDED, WEAKER

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
    "donors": ("donors", str),
}
TEXTS = ("cell type", "gene")


def show_ranking(table: pd.DataFrame, title: str, *, top: int) -> None:
    """The first `top` genes of each type, with what tells how far to trust each; without columns that have no value."""
    rows = table[table["rank"] <= top]
    rows = rows.assign(donors=donors_holding(rows))
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
    table = _comparison_table("Markers of each type", ["cell type"], COUNTED)
    for cell_type in pd.unique(rows["cell_type"]):
        numbers = rows.loc[rows["cell_type"] == cell_type, "verdict"].value_counts()
        table.add_row(Text(str(cell_type)), *(str(numbers.get(name, 0)) for name in COUNTED))
    return table


def _changes(rows: pd.DataFrame, title: str) -> Table:
    with_interval = bool(rows["change_low"].notna().any())
    # Reference and condition share a column: all of them have to fit 80 characters.
    numbers = ["log2FC", "change", *(["interval", "p adj"] if with_interval else []), "cells"]
    table = _comparison_table(title, ["type, gene", "verdict"], numbers)
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


def _comparison_table(title: str, texts: Sequence[str], numbers: Sequence[str]) -> Table:
    table = _table(title)
    for heading in texts:
        table.add_column(heading, overflow="ellipsis", no_wrap=True, max_width=WIDEST if len(texts) > 1 else None)
    for heading in numbers:
        table.add_column(heading, justify="right", no_wrap=True)
    return table


STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


class Steps:
    """Steps on standard error, so that results on standard output stay clean."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True, highlight=False)

    @contextmanager
    def step(self, name: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
        """A step of `total` parts, None where they are not known; yields the function to call with finished parts."""
        began = monotonic()
        bar = Progress(
            TextColumn("  {task.description}", markup=False),
            BarColumn(),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        if not self._console.is_terminal:
            self._console.print(f"{name} …", markup=False, soft_wrap=True)
        with bar:
            task = bar.add_task(name, total=total)
            yield lambda done: bar.advance(task, done)
        if self._console.is_terminal:
            self._console.print(f"[green]✓[/] {name} [dim]{monotonic() - began:.1f} s[/]")

    def notes(self, notes: Iterable[Finding]) -> None:
        """Warnings and remarks on the input, three lines each."""
        for note in notes:
            for line in message_lines(note):
                self._console.print(line, style=STYLES[note.severity], markup=False, soft_wrap=True)
