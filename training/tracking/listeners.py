"""Who hears of a training run: several at once, and a person at a terminal."""

import math
from collections.abc import Callable, Sequence
from time import monotonic

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from cellmark.schemas.checks.split import Split
from cellmark.schemas.errors import Finding
from cellmark.schemas.short_message import message_lines
from cellmark.schemas.spoken import in_flags

from ..cells.labelled_cells import LabelledCells
from ..listener import Listener
from ..network.fit import Epoch
from ..tuning.tune_settings import Trial

METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}
STYLES = {"error": "bold red", "warning": "yellow", "info": "dim"}


class Several(Listener):
    """Passes everything on, in order."""

    def __init__(self, listeners: Sequence[Listener]) -> None:
        self._listeners = tuple(listeners)

    def step(self, name: str) -> None:
        for listener in self._listeners:
            listener.step(name)

    def note(self, finding: Finding) -> None:
        for listener in self._listeners:
            listener.note(finding)

    def data(self, cells: LabelledCells, split: Split) -> None:
        for listener in self._listeners:
            listener.data(cells, split)

    def trial(self, trial: Trial) -> None:
        for listener in self._listeners:
            listener.trial(trial)

    def epoch(self, epoch: Epoch) -> None:
        for listener in self._listeners:
            listener.epoch(epoch)


class Terminal(Listener):
    """Steps with their times, bars over trials and epochs, notes as they come; use it in a `with` block."""

    def __init__(
        self, *, max_epochs: int, console: Console | None = None, words: Callable[[str], str] = in_flags
    ) -> None:
        """`words`: turns a note into those of the door: flags of the command line, or keywords of Python."""
        self._words = words
        self._console = console or Console(stderr=True, highlight=False)
        self._max_epochs = max_epochs
        self._progress = Progress(
            TextColumn("  {task.description}"),
            BarColumn(),
            TextColumn("{task.fields[status]}"),
            TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        self._task: TaskID | None = None
        self._began: float | None = None
        self._name = ""

    def __enter__(self) -> "Terminal":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._finish_step()
        self._progress.stop()

    def step(self, name: str) -> None:
        self._finish_step()
        self._name, self._began = name, monotonic()
        self._task = self._progress.add_task(name, total=None, status="")
        if not self._console.is_terminal:
            self._console.print(f"{name} …")

    def note(self, finding: Finding) -> None:
        for line in message_lines(finding, self._words):
            self._console.print(line, style=STYLES[finding.severity], markup=False, soft_wrap=True)

    def data(self, cells: LabelledCells, split: Split) -> None:
        self._console.print(
            f"  {cells.n_obs} cells of {len(cells.cell_types)} types x {len(cells.gene_symbols)} genes: "
            f"{len(split.train)} train, {len(split.validation)} validation, {len(split.test)} test ({split.strategy})",
            soft_wrap=True,
        )
        for note in split.notes:
            self._console.print(f"  {note}", style="dim", markup=False, soft_wrap=True)

    def trial(self, trial: Trial) -> None:
        best = "none yet" if trial.best_value is None else f"{trial.best_value:.3f}"
        status = f"trial {trial.n_done} of {trial.n_trials}, best validation {METRICS[trial.metric]} {best}"
        if self._task is not None:
            self._progress.update(self._task, total=trial.n_trials, completed=trial.n_done, status=status)
        if not self._console.is_terminal:
            self._console.print(f"  {status}")

    def epoch(self, epoch: Epoch) -> None:
        if self._task is not None:
            judged = not math.isnan(epoch.validation_macro_f1)
            measure = ("validation macro-F1", epoch.validation_macro_f1) if judged else ("loss", epoch.train_loss)
            status = f"epoch {epoch.number}, {measure[0]} {measure[1]:.3f}"
            self._progress.update(self._task, total=self._max_epochs, completed=epoch.number, status=status)

    def _finish_step(self) -> None:
        if self._began is None:
            return
        if self._task is not None:
            self._progress.remove_task(self._task)
            self._task = None
        self._console.print(f"[green]✓[/] {self._name} [dim]{monotonic() - self._began:.1f} s[/]")
        self._began = None
