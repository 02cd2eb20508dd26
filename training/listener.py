"""Who is notified of a training run while it happens."""

from typing import TYPE_CHECKING

from cellmark.schemas.errors import Finding

if TYPE_CHECKING:  # a listener needs no torch
    from cellmark.schemas.checks.split import Split

    from .cells.labelled_cells import LabelledCells
    from .network.fit_settings import Epoch
    from .tuning.tune_settings import Trial


class Listener:
    """Hears of a run while it happens, as a progress bar or a tracker. Itself silent: override what matters."""

    def step(self, name: str) -> None:
        """A step begins; `name` is for people."""

    def note(self, finding: Finding) -> None:
        """Something about the input that people should know."""

    def data(self, cells: "LabelledCells", split: "Split") -> None:
        """The data were read, checked and divided."""

    def trial(self, trial: "Trial") -> None:
        """A try of the search for settings has ended."""

    def epoch(self, epoch: "Epoch") -> None:
        """The network saw all training cells once more."""
