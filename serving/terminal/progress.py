"""Progress on standard error, so that results on standard output stay clean."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def cell_progress(description: str, n_cells: int) -> Iterator[Callable[[int], None]]:
    """A progress bar over cells; yields the function that takes the number of finished ones. Silent off a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TextColumn("cells"))
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(description, total=n_cells)
        yield lambda done: progress.advance(task, done)


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
