"""What people see of suggested ontology terms."""

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from ..evaluation.cell_ontology import Suggestion


def show_suggestions(suggestions: Sequence[Suggestion], version: str, out: Path) -> None:
    """Label, term and how it was found; what is left to people last."""
    table = Table(title=f"Cell Ontology {version}")
    for column in ("label", "term", "by"):
        table.add_column(column, overflow="fold")
    for one in sorted(suggestions, key=lambda one: one.ontology_id is None):
        term = f"{one.ontology_id} {one.name}" if one.ontology_id else "; ".join(one.candidates)
        table.add_row(Text(one.label), Text(term), Text(one.match, style="" if one.ontology_id else "yellow"))
    console = Console(highlight=False)
    console.print(table)
    n_found = sum(one.ontology_id is not None for one in suggestions)
    console.print(f"{n_found} of {len(suggestions)} labels have a term. Written to {out}", soft_wrap=True, markup=False)
