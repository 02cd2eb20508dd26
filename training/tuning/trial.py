"""One try of the search for settings, as listeners hear of it."""

from dataclasses import dataclass
from typing import Literal

from ..network.fit import Epoch, FitSettings

TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """A trial that has ended.

    `number`: in the study, from 0. `n_done`, `n_trials`: trials of the study that have ended so far, and that are
    wanted; those of other processes count. `value`: the metric on validation cells, None when it failed; `best_value`:
    of all complete trials so far. `settings`: what the network was fitted with. `began`: seconds since 1970. `reason`:
    why it was cut short.
    """

    number: int
    n_done: int
    n_trials: int
    state: TrialState
    value: float | None
    best_value: float | None
    metric: str
    settings: FitSettings
    epochs: tuple[Epoch, ...]
    began: float
    seconds: float
    reason: str | None = None
