import io
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from cellmark.schemas.errors import Finding
from cellmark.schemas.short_message import message_lines
from cellmark.training.listener import Listener
from cellmark.training.network.fit import Epoch, FitSettings
from cellmark.training.network.fit_settings import unjudged
from cellmark.training.tracking.listeners import Several, Terminal
from cellmark.training.tuning.tune_settings import Trial

NOTE = Finding(
    "CELL_TYPES_DROPPED",
    where="cell_type",
    expected="10 cells",
    found="2 of 'T [naive]'",
    remedy="More cells.",
    severity="warning",
)
CELLS: Any = SimpleNamespace(n_obs=10, cell_types=("a", "b"), gene_symbols=("g",) * 7)
SPLIT: Any = SimpleNamespace(
    train=np.arange(6), validation=np.arange(2), test=np.arange(2), strategy="donors", notes=("by [chance]: d1",)
)
EPOCH = Epoch(3, 0.5, 0.4, 0.9, 0.8)
TRIAL = Trial(4, 5, 9, "complete", 0.91, 0.957, "accuracy", FitSettings(), (EPOCH,), began=0.0, seconds=1.5)


class Recorder(Listener):
    """Writes down what it hears."""

    def __init__(self, name: str, log: list[tuple[str, str, object]]) -> None:
        self.name, self.log = name, log

    def step(self, name: str) -> None:
        self.log.append((self.name, "step", name))

    def note(self, finding: Finding) -> None:
        self.log.append((self.name, "note", finding))

    def data(self, cells: object, split: object) -> None:
        self.log.append((self.name, "data", (cells, split)))

    def trial(self, trial: Trial) -> None:
        self.log.append((self.name, "trial", trial))

    def epoch(self, epoch: Epoch) -> None:
        self.log.append((self.name, "epoch", epoch))


def tell(listener: Any) -> None:
    """A short training."""
    listener.step("Reading")
    listener.note(NOTE)
    listener.data(CELLS, SPLIT)
    listener.step("Tuning")
    listener.trial(TRIAL)
    listener.step("Fitting")
    listener.epoch(EPOCH)


def test_several_listeners_hear_everything_in_order() -> None:
    log: list[tuple[str, str, object]] = []
    tell(Several([Recorder("first", log), Recorder("second", log)]))
    heard: list[tuple[str, object]] = [
        ("step", "Reading"),
        ("note", NOTE),
        ("data", (CELLS, SPLIT)),
        ("step", "Tuning"),
        ("trial", TRIAL),
        ("step", "Fitting"),
        ("epoch", EPOCH),
    ]
    assert log == [(name, kind, what) for kind, what in heard for name in ("first", "second")]


@pytest.mark.parametrize("terminal", [True, False])
def test_a_person_sees_each_step_begin_and_end_with_its_time(terminal: bool) -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, highlight=False)
    with Terminal(max_epochs=5, console=console) as screen:
        tell(screen)
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text.getvalue())
    assert re.findall(r"✓ (\w+) (\d+\.\d) s", shown) == [("Reading", "0.0"), ("Tuning", "0.0"), ("Fitting", "0.0")]
    assert "10 cells of 2 types x 7 genes: 6 train, 2 validation, 2 test (donors)" in shown
    assert "2 of 'T [naive]'" in shown, "brackets are no markup"
    assert "by [chance]: d1" in shown
    assert shown.count("warning: ") == 1
    if not terminal:
        assert "trial 5 of 9, best validation accuracy 0.957" in shown
        assert "Reading …\n" in shown, "a log says what is going on before it ends"
        assert "\x1b" not in text.getvalue()


def test_a_narrow_log_breaks_no_line_of_a_remark() -> None:
    text = io.StringIO()
    with Terminal(max_epochs=5, console=Console(file=text, width=40)) as screen:
        screen.note(NOTE)
    lines = message_lines(NOTE)
    assert max(map(len, lines)) > 40
    assert text.getvalue().splitlines()[: len(lines)] == lines


def test_a_step_that_fails_leaves_the_terminal_as_it_was() -> None:
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=100)
    with pytest.raises(ValueError, match="broken"), Terminal(max_epochs=5, console=console) as screen:  # noqa: PT012
        screen.step("Fitting")
        screen.epoch(EPOCH)
        raise ValueError("broken")
    shown = text.getvalue()
    assert shown.rfind("\x1b[?25h") > shown.rfind("\x1b[?25l"), "the cursor is visible again"


@pytest.mark.parametrize(("epoch", "told"), [(EPOCH, "validation macro-F1 0.800"), (unjudged(3, 0.5), "loss 0.500")])
def test_a_bar_tells_what_is_known_of_an_epoch(epoch: Epoch, told: str) -> None:
    text = io.StringIO()
    with Terminal(max_epochs=5, console=Console(file=text, force_terminal=True, width=120)) as screen:
        screen.step("Fitting")
        screen.epoch(epoch)
        screen._progress.refresh()
    assert f"epoch 3, {told}" in text.getvalue()
    assert "nan" not in text.getvalue()


def test_a_bar_counts_trials_and_tells_the_best_value_so_far() -> None:
    text = io.StringIO()
    with Terminal(max_epochs=5, console=Console(file=text, force_terminal=True, width=120)) as screen:
        screen.step("Tuning")
        screen.trial(TRIAL)
        screen._progress.refresh()
        (task,) = screen._progress.tasks
        assert (task.completed, task.total) == (5, 9)
    assert "best validation accuracy 0.957" in text.getvalue()
