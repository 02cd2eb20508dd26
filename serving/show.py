"""What people see of results in a terminal. Results go to standard output, remarks to standard error."""

from collections.abc import Iterable
from pathlib import Path

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE, UNS_KEY
from cellmark.schemas.errors import Finding

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def show_notes(notes: Iterable[Finding]) -> None:
    """Warnings and remarks on an input, one line each."""
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in notes:
        console.print(f"{note.severity}: {note}", style=STYLES[note.severity], markup=False)


def show_calls(frame: pd.DataFrame, out: Path) -> None:
    """How many cells of each type, with the median confidence, and what the answer says of itself."""
    facts = frame.attrs[UNS_KEY]
    table = Table(title=f"{len(frame)} cells of {out.name}")
    table.add_column("cell type")
    table.add_column("cells", justify="right")
    table.add_column("share", justify="right")
    table.add_column("median confidence", justify="right")
    grouped = frame.groupby(CELL_TYPE, observed=True)[CONFIDENCE].agg(["size", "median"])
    for name, row in grouped.sort_values("size", ascending=False).iterrows():
        n_cells = int(row["size"])
        table.add_row(str(name), str(n_cells), f"{n_cells / len(frame):.1%}", f"{row['median']:.3f}")
    console = Console(highlight=False)
    console.print(table)
    version = f" version {facts['model_version']}" if facts["model_version"] else ""
    console.print(
        f"{facts['model']}{version} ({facts['bundle_digest'][:12]}), genes matched {facts['genes_matched']}, "
        f"missing {facts['genes_missing']}, library size {facts['library_size_source']}",
        markup=False,
    )
    console.print(f"Written to {out}", markup=False, soft_wrap=True)


def show_findings(findings: Iterable[Finding], title: str) -> None:
    """Findings as a readable table."""
    table = Table(title=title, show_lines=True)
    for column in ("severity", "where", "what and remedy"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        examples = f" (for example {', '.join(finding.examples[:3])})" if finding.examples else ""
        text = Text.assemble(
            f"expected {finding.expected}; found {finding.found}{examples}.\n",
            (finding.remedy, "bold"),
            (f"\n{finding.code}", "dim"),
        )
        table.add_row(Text(finding.severity, style=STYLES[finding.severity]), Text(finding.where), text)
    Console(highlight=False).print(table)


def show_frame(frame: pd.DataFrame, title: str) -> None:
    """A small frame as a table; numbers to four digits."""
    table = Table(title=title)
    for column in frame.columns:
        table.add_column(str(column), justify="right" if pd.api.types.is_numeric_dtype(frame[column]) else "left")
    for row in frame.itertuples(index=False):
        table.add_row(*(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row))
    Console(highlight=False).print(table)
