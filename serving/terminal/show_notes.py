"""Errors, warnings and remarks in a terminal. Nothing heavy is imported: a refusal comes at once."""

from collections.abc import Iterable

from cellmark.schemas.errors import Finding
from cellmark.schemas.short_message import message_lines

STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


def show_notes(notes: Iterable[Finding]) -> None:
    """Errors, warnings and remarks on standard error, three lines each. What to do stands out."""
    from rich.console import Console
    from rich.text import Text

    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for note in notes:
        severity, colon, problem = (lines := message_lines(note))[0].partition(": ")
        style = STYLES[note.severity]
        is_error = note.severity == "error"
        console.print(Text.assemble((severity + colon, style), (problem, "" if is_error else style)))
        for line in lines[1:-1]:
            console.print(line, style="dim" if note.severity == "info" else None, markup=False)
        console.print(lines[-1], style="bold" if is_error else style, markup=False)
