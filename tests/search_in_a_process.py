"""A small search: `python search_in_a_process.py STUDY N_TRIALS [HOLD_AT|wait]`; tests call `search` as well.

Prints every trial that ends. With HOLD_AT it stands still in that one of its fits, or the next that is not pruned at
once, says `holding`, and waits to be killed. With `wait` it says `ready` and begins when a line comes.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.errors import Finding
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import Epoch, FitResult, FitSettings, fit
from cellmark.training.tuning import tune as tune_module
from cellmark.training.tuning.search_space import SearchSpace
from cellmark.training.tuning.trial import Trial
from cellmark.training.tuning.tune import Tuned
from cellmark.training.tuning.tune_settings import TuneSettings

SPACE = SearchSpace(n_layers=(1, 2), units=(4, 16), learning_rate=(1e-4, 1e-1))
BASE = FitSettings(shape=NetworkShape((8,)), batch_size=32, learning_rate=1e-2)


class Heard:
    """Keeps what a search says."""

    def __init__(self, on_trial: Callable[[Trial], None] = lambda trial: None) -> None:
        self.trials: list[Trial] = []
        self.notes: list[Finding] = []
        self._on_trial = on_trial

    def note(self, finding: Finding) -> None:
        self.notes.append(finding)

    def trial(self, trial: Trial) -> None:
        self.trials.append(trial)
        self._on_trial(trial)


def draw(lift: float = 0.6) -> tuple[sp.csr_matrix, np.ndarray]:
    """Sparse expression of 120 cells of three types that are not easily told apart, and the types."""
    generator = np.random.default_rng(0)
    codes = np.arange(120) % 3
    x = generator.exponential(1, (120, 20)) * (generator.random((120, 20)) < 0.5)
    for number in range(3):
        x[codes == number, 4 * number : 4 * number + 4] += lift
    return sp.csr_matrix(x.astype(np.float32)), codes


def search(
    *, lift: float = 0.6, base: FitSettings = BASE, seed: int = 1, heard: Heard | None = None, **given: Any
) -> Tuned:
    """`given`: settings of the search."""
    x, codes = draw(lift)
    cells = np.arange(len(codes))
    settings = TuneSettings(**{"n_trials": 10, "max_epochs": 4, "space": SPACE, **given})
    return tune_module.tune(
        x, codes, train=cells[cells % 4 > 0], validation=cells[cells % 4 == 0], n_types=3, base=base, settings=settings,
        seed=seed, listener=heard or Heard(),
    )  # fmt: skip


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> None:
    study, n_trials, how = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    hold_at = None if how == "wait" else int(how)
    if how == "wait":
        say("ready")
        sys.stdin.readline()
    n_fits = 0

    def holding_fit(*arguments: Any, on_epoch: Callable[[Epoch], None], **named: Any) -> FitResult:
        nonlocal n_fits
        n_fits += 1

        def hear(epoch: Epoch) -> None:
            on_epoch(epoch)
            if hold_at and n_fits >= hold_at:
                say("holding")
                time.sleep(100)

        return fit(*arguments, on_epoch=hear, **named)

    tune_module.fit = holding_fit  # type: ignore[assignment]
    search(study=study, n_trials=n_trials, heard=Heard(lambda trial: say(f"trial {trial.number}")))


if __name__ == "__main__":
    main()
