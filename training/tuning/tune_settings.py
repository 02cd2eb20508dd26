"""How a network's settings are searched for."""

from dataclasses import dataclass, field
from typing import Annotated

from ..choices import Metric, Pruner
from ..setting_bounds import Advice, AtLeast0, AtLeast1, NotBlank, Positive
from .search_space import SearchSpace


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
