"""What people see of a command's steps: a spinner or a bar while one runs, and how long it took."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cellmark.schemas.errors import Finding

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
        """Warnings and remarks on the input, one line each."""
        for note in notes:
            line = f"{note.severity}: {note}"
            self._console.print(line, style=STYLES[note.severity], markup=False, soft_wrap=True)
