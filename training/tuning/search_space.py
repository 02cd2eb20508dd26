"""Where tuning looks: ranges of a network's shape, learning rate and noise."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ..network.classifier import NetworkShape
from ..network.fit import FitSettings

if TYPE_CHECKING:
    import optuna


@dataclass(frozen=True)
class SearchSpace:
    """Lowest and highest value of what is tuned, both included; the same value twice is not tuned.

    `n_layers`: hidden layers, each with its own number of `units`. `learning_rate`: on a logarithmic scale. `noise`: as
    in `FitSettings`. The defaults are those published (Zhang et al. 2026, bbag223).
    """

    n_layers: tuple[int, int] = (1, 3)
    units: tuple[int, int] = (256, 512)
    dropout: tuple[float, float] = (0.2, 0.3)
    learning_rate: tuple[float, float] = (1e-5, 1e-3)
    noise: tuple[float, float] = (1.0, 1.0)

    def suggest(self, trial: "optuna.Trial", base: FitSettings) -> FitSettings:
        """`base` with values that the trial's sampler draws from this space."""
        n_layers = trial.suggest_int("n_layers", *self.n_layers)
        units = tuple(trial.suggest_int(f"units_{number}", *self.units) for number in range(1, n_layers + 1))
        dropout = trial.suggest_float("dropout", *self.dropout)
        learning_rate = trial.suggest_float("learning_rate", *self.learning_rate, log=True)
        noise = trial.suggest_float("noise", *self.noise)
        return replace(base, shape=NetworkShape(units, dropout), learning_rate=learning_rate, noise=noise)

    def contains(self, settings: FitSettings) -> bool:
        """Whether every tuned value of `settings` lies within its range."""
        values = [
            (len(settings.shape.hidden_units), self.n_layers),
            *((units, self.units) for units in settings.shape.hidden_units),
            (settings.shape.dropout, self.dropout),
            (settings.learning_rate, self.learning_rate),
            (settings.noise, self.noise),
        ]
        return all(low <= value <= high for value, (low, high) in values)


def drawn_values(settings: FitSettings) -> dict[str, Any]:
    """What `SearchSpace.suggest` draws, as it stands in `settings`: value by name, in the order of drawing."""
    units = {f"units_{number}": size for number, size in enumerate(settings.shape.hidden_units, start=1)}
    return {
        "n_layers": len(settings.shape.hidden_units),
        **units,
        "dropout": settings.shape.dropout,
        "learning_rate": settings.learning_rate,
        "noise": settings.noise,
    }


def is_drawn(values: dict[str, Any]) -> bool:
    """Whether a trial's values are complete: one that was killed early may lack some."""
    return "noise" in values  # the last one drawn


def is_range(low: float, high: float, *, lowest: float, highest: float = math.inf) -> bool:
    """Whether both bounds are finite, in order and within `lowest` and `highest`; NaN is not."""
    return lowest <= low <= high <= highest and high < math.inf
