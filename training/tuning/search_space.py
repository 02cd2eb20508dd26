"""Where tuning looks: ranges of a network's shape, learning rate and noise."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator

from ..network.classifier import NetworkShape
from ..network.fit import FitSettings
from ..setting_bounds import Advice, AtLeast1, BelowOne, NotNegative, Positive

if TYPE_CHECKING:
    import optuna


def _in_order(bounds: tuple[float, float]) -> tuple[float, float]:
    if bounds[0] > bounds[1]:
        raise ValueError("the lower bound is the higher one")
    return bounds


def _range(limits: str) -> Advice:
    return Advice("Give two values, the lower one first.", f"the lowest and the highest value, {limits}")


IN_ORDER = AfterValidator(_in_order)


@dataclass(frozen=True)
class SearchSpace:
    """Lowest and highest value of what is tuned, both included; the same value twice is not tuned.

    `n_layers`: hidden layers, each with its own number of `units`. `learning_rate`: on a logarithmic scale. `noise`: as
    in `FitSettings`. The defaults are those published (Zhang et al. 2026, bbag223).
    """

    n_layers: Annotated[tuple[AtLeast1, AtLeast1], IN_ORDER, _range("at least 1")] = (1, 3)
    units: Annotated[tuple[AtLeast1, AtLeast1], IN_ORDER, _range("at least 1")] = (256, 512)
    dropout: Annotated[tuple[BelowOne, BelowOne], IN_ORDER, _range("from 0 to below 1")] = (0.2, 0.3)
    learning_rate: Annotated[tuple[Positive, Positive], IN_ORDER, _range("above 0")] = (1e-5, 1e-3)
    noise: Annotated[tuple[NotNegative, NotNegative], IN_ORDER, _range("at least 0")] = (1.0, 1.0)

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
