"""What people see in a terminal. Results go to standard output; notes and progress to standard error."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, UNASSIGNED, UNS_KEY
from cellmark.schemas.drift.drift_report import DriftReport
from cellmark.schemas.drift.drift_words import donors_in_words, in_words, short_percent, verdict
from cellmark.schemas.errors import Finding
from cellmark.schemas.spoken import in_flags

from ..outputs.column_names import column_name
from .show_notes import STYLES


def show_calls(frame: pd.DataFrame, out: Path) -> None:
    """How many cells of each type, with the median confidence, and what the answer says of itself."""
    facts = frame.attrs[UNS_KEY]
    table = Table(title=Text(f"{cells_in_words(len(frame))} in {out.name}"))
    table.add_column("cell type")
    table.add_column("cells", justify="right")
    table.add_column("share", justify="right")
    table.add_column("median confidence", justify="right")
    grouped = frame.groupby(CELL_TYPE, observed=True)[CONFIDENCE].agg(["size", "median"])
    for name, row in grouped.sort_values("size", ascending=False).iterrows():
        n_cells = int(row["size"])
        table.add_row(Text(str(name)), str(n_cells), f"{n_cells / len(frame):.1%}", f"{row['median']:.3f}")
    console = Console(highlight=False)
    console.print(table)
    version = f" version {facts['model_version']}" if facts["model_version"] else ""
    share = facts.get("attribution_share")
    carried = f" ({share:.1%} of the evidence is there)" if share is not None and facts["genes_missing"] else ""
    console.print(
        f"{facts['model']}{version} ({facts['bundle_digest'][:12]}), genes matched {facts['genes_matched']}, "
        f"missing {facts['genes_missing']}{carried}, library size {facts['library_size_source']}",
        markup=False,
    )
    n_unassigned = int((frame[CELL_TYPE] == UNASSIGNED).sum())
    if n_unassigned:
        console.print(
            f"{cells_in_words(n_unassigned)} ({n_unassigned / len(frame):.1%}) unassigned: unlike all that the model "
            f"learned. The best guess is in {column_name(BEST_CELL_TYPE, facts.get('columns_prefix'))}.",
            markup=False,
        )
    console.print(f"Written to {out}", markup=False, soft_wrap=True)


def show_outcome(row: Mapping[str, Any], *, number: int, of: int) -> None:
    """One line for one input of a batch. `row`: of the summary."""
    outcome = "refused" if row["status"] != "ok" else f"{cells_in_words(row['n_cells'])}, {row['quality']}"
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(
        f"{number}/{of} {row['input']}: {outcome}", markup=False, style=None if row["status"] == "ok" else "bold"
    )


def show_batch(summary: pd.DataFrame, path: Path) -> None:
    """What became of the inputs of a batch. `summary`: its table, one row per input; `path`: where that lies."""
    inputs = "1 input" if len(summary) == 1 else f"{len(summary)} inputs"
    table = Table(title=f"{inputs}, {int((summary['status'] != 'ok').sum())} refused")
    for column in ("input", "cells", "most common", "quality"):
        table.add_column(column, justify="right" if column == "cells" else "left", overflow="fold")
    for row in summary.to_dict("records"):
        if row["status"] == "ok":
            table.add_row(Text(row["input"]), str(row["n_cells"]), Text(row["most_common_cell_type"]), row["quality"])
        else:
            table.add_row(Text(row["input"]), "", Text("refused", style=STYLES["error"]), row["codes"])
    console = Console(highlight=False)
    console.print(table)
    console.print(f"Written to {path}", markup=False, soft_wrap=True)


def cells_in_words(n_cells: int) -> str:
    """`1 cell`, `2 cells`."""
    return f"{n_cells} cell" if n_cells == 1 else f"{n_cells} cells"


def show_findings(findings: Iterable[Finding], title: str) -> None:
    """Findings as a readable table."""
    table = Table(title=Text(title), show_lines=True)
    for column in ("severity", "where", "what and remedy"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        examples = f"\nFor example: {', '.join(finding.examples[:3])}." if finding.examples else ""
        text = Text.assemble(
            f"expected {finding.expected}; found {finding.found}.\n",
            (in_flags(finding.remedy), "bold"),
            examples,
            (f"\n{finding.code}", "dim"),
        )
        table.add_row(Text(finding.severity, style=STYLES[finding.severity]), Text(finding.where), text)
    Console(highlight=False).print(table)


def show_frame(frame: pd.DataFrame, title: str) -> None:
    """A small frame as a table; numbers to four digits."""
    table = Table(title=Text(title))
    for column in frame.columns:
        table.add_column(str(column), justify="right" if pd.api.types.is_numeric_dtype(frame[column]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else Text(str(value)) for value in row))
    Console(highlight=False).print(table)


@contextmanager
def cell_progress(description: str, n_cells: int, *, unit: str = "cells") -> Iterator[Callable[[int], None]]:
    """A progress bar over cells; yields the function that takes the number of finished ones. Silent off a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn(unit))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=n_cells)
        yield lambda done: progress.advance(task, done)


@contextmanager
def fetch_progress(name: str) -> Iterator[Callable[[int | None], Callable[[int], None]]]:
    """A progress bar over bytes; yields what takes their number, if known, and gives what takes those that came. Off a
    terminal one line says that something is fetched. Silent where nothing is.
    """
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:

        def begin(n_bytes: int | None) -> Callable[[int], None]:
            if not console.is_terminal:
                console.print(f"Fetching {name}", highlight=False, markup=False, soft_wrap=True)
            task = progress.add_task(f"Fetching {name}", total=n_bytes)
            return lambda n_more: progress.advance(task, n_more)

        yield begin


@contextmanager
def waiting(description: str) -> Iterator[Callable[[str], None]]:
    """A spinner for work whose length is not known; yields the function that says what is done now."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True)
    if not console.is_terminal:

        def say(text: str) -> None:
            console.print(text, highlight=False, markup=False, soft_wrap=True)

        say(description)
        yield say
        return
    with console.status(Text(description)) as status:
        yield lambda text: status.update(Text(text))


SEVERITY_STYLES = {"ok": "green", "moved": "yellow", "far": "red"}


def show_drift(report: DriftReport) -> None:
    """The verdict, then measures, types and genes."""
    console = Console(highlight=False)
    console.print(verdict(report), style="bold", markup=False)
    answers = (
        f" ({report.n_answers:,}, the {report.part} part, for confidence, novelty and unassigned)"
        if report.n_answers < report.n_reference
        else ""
    )
    console.print(
        f"{report.n_cells:,} cells, beside {report.n_reference:,} held-out cells{answers} of "
        f"{report.facts.get('model')}.",
        markup=False,
    )
    for note in report.notes:
        console.print(note, style="dim", markup=False)
    measures = Table(title="Measures")
    measures.add_column("")
    measures.add_column("what was found", overflow="fold")
    measures.add_column("KS", justify="right")
    has_donors = any(limits.donors is not None for limits in report.limits.values())
    if has_donors:
        measures.add_column("training donors", justify="right")
    for measure in report.measures:
        word: str = measure.severity or "-"
        if measure.severity is not None and not measure.is_fault:
            word = "other" if measure.severity != "ok" else "ok"
        style = SEVERITY_STYLES.get(word, "")
        ks = "" if measure.ks is None else f"{measure.ks:.2f}"
        donors = [donors_in_words(report, measure)] if has_donors else []
        measures.add_row(Text(word, style=style), Text(in_words(measure)), ks, *donors)
    console.print(measures)
    # Eighty columns have to do: a terminal folds what is wider into columns of letters.
    types = Table(title="Cell types, in per cent (expected)", box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False)
    types.add_column("most probable", overflow="fold", min_width=12)
    for name in ("cells", "share", "unassigned", "novel", "low conf.", "depth"):
        types.add_column(name, justify="right")
    types.add_column("", no_wrap=True)
    for one in report.cell_types:
        types.add_row(
            Text(one.cell_type),
            f"{one.n_cells:,}",
            f"{_number(one.share)} ({_number(one.expected_share)})",
            "" if one.unassigned is None else f"{_number(one.unassigned)} ({_number(one.expected_unassigned)})",
            _number(one.strange),
            _number(one.unsure),
            "" if one.library_size_ratio is None else f"x {one.library_size_ratio:.2f}",
            Text({True: "outside", False: "inside", None: "-"}[one.outside], style="red" if one.outside else ""),
        )
    console.print(types)
    if report.genes:
        genes = Table(title="Genes whose detection rates moved most")
        for name in ("gene", "cells that count it", "expected", "points"):
            genes.add_column(name, justify="left" if name == "gene" else "right")
        for gene in report.genes:
            genes.add_row(
                Text(gene.gene),
                short_percent(gene.observed),
                short_percent(gene.expected),
                f"{100 * gene.difference:+.0f}",
            )
        console.print(genes)


def _number(share: float | None) -> str:
    return short_percent(share).removesuffix(" %")
