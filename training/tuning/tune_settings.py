"""How a network's settings are searched for, and what one try came to."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator

from ..choices import Metric, Pruner
from ..network.classifier import NetworkShape
from ..network.fit import Epoch, FitSettings
from ..setting_bounds import Advice, AtLeast0, AtLeast1, BelowOne, NotBlank, NotNegative, Positive

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


@dataclass(frozen=True)
class TuneSettings:
    """How settings are searched for. The defaults are those published (Zhang et al. 2026, bbag223), but for trials: 0
    means no search.

    `n_trials`: in the whole study, however often it is resumed and however many processes share it. `max_epochs`: of
    one trial. `metric`: on validation cells, to be as large as possible. `pruner`: `median` ends a trial whose best
    epoch so far is below the median of the earlier ones at that epoch, after `prune_after` epochs and five trials.

    `patience`: epochs without a better validation loss before a trial stops; None to let all epochs run. `plain`: at a
    constant learning rate, without warm-up and weight decay, as published; else as the network will be fitted.
    `base_first`: the first trial has the settings that training would have without a search, if they lie in `space`.

    `time_budget`: seconds, None for no limit. `study`: where Optuna keeps the trials: a SQLite file or the URL of a
    database, None for memory. `study_name`: by default of the model's name and of all that trials depend on.
    """

    n_trials: AtLeast0 = 0
    max_epochs: AtLeast1 = 50
    metric: Metric = "accuracy"
    pruner: Pruner = "median"
    prune_after: AtLeast0 = 0
    patience: Annotated[AtLeast1 | None, Advice(expected="at least 1, or none")] = None
    plain: bool = False
    base_first: bool = True
    time_budget: Annotated[Positive | None, Advice("Give a number of seconds, such as 600.", "seconds above 0")] = None
    study: Annotated[NotBlank | None, Advice("Give one, or none.", "a file or URL")] = None
    study_name: Annotated[NotBlank | None, Advice("Give one, or none.", "a name")] = None
    space: SearchSpace = field(default_factory=SearchSpace)


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
