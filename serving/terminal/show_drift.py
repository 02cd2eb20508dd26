"""A drift report on the terminal."""

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.drift.drift_report import DriftReport
from cellmark.schemas.drift.drift_words import donors_in_words, in_words, percent, verdict

STYLES = {"ok": "green", "moved": "yellow", "far": "red"}


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
        style = STYLES.get(word, "")
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
                Text(gene.gene), percent(gene.observed), percent(gene.expected), f"{100 * gene.difference:+.0f}"
            )
        console.print(genes)


def _number(share: float | None) -> str:
    return percent(share).removesuffix(" %")
