"""All that is wrong with the settings of a training run, at once. Comparisons are written so that NaN fails."""

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, get_args

from cellmark.schemas.errors import Finding

from .choices import BaselineKind, Metric, Pruner, Ranking
from .markers.marker_settings import MarkerSettings
from .network.fit import FitSettings
from .network.fit_settings import Balance, Optimizer, Schedule, Stop
from .tuning.search_space import SearchSpace, is_range
from .tuning.tune_settings import TuneSettings

if TYPE_CHECKING:
    from .config import TrainingConfig


class Checks:
    """Collects what is wrong with the fields of some settings. `prefix`: before a field's name in findings."""

    def __init__(self, of: object, *, prefix: str = "") -> None:
        self._of = of
        self._prefix = prefix
        self.problems: list[Finding] = []

    def __call__(self, ok: bool, name: str, expected: str, remedy: str) -> None:
        """A finding about the field `name` unless `ok`."""
        if not ok:
            found = repr(getattr(self._of, name))
            self.problems.append(Finding("PARAMETER_INVALID", self._prefix + name, expected, found, remedy))

    def one_of(self, name: str, literal: object) -> None:
        """The field `name` is a value of the type `literal`."""
        names = get_args(literal)
        self(getattr(self._of, name) in names, name, " or ".join(names), "Name one of them.")

    def at_least(self, name: str, lowest: int, remedy: str = "Raise it.") -> None:
        self(getattr(self._of, name) >= lowest, name, f"at least {lowest}", remedy)


def is_model_name(name: str) -> bool:
    """Whether MLflow takes `name` for a registered model and a model URI can hold it."""
    return bool(name) and not set(name) & set('/:@.%"\\') and name == name.strip()


def problems_of(config: "TrainingConfig") -> list[Finding]:
    """What is wrong, field by field; empty when nothing is."""
    parts: tuple[Callable[[], list[Finding]], ...] = (
        lambda: _run_problems(config),
        lambda: _fit_problems(config.fit),
        lambda: _tune_problems(config.tune),
        lambda: _space_problems(config.tune.space),
        lambda: _marker_problems(config.markers),
    )
    return [problem for part in parts for problem in part()]


def _run_problems(config: "TrainingConfig") -> list[Finding]:
    check = Checks(config)
    check.at_least("min_cells", 3, "Three parts need three cells of every type.")
    check(config.max_genes is None or config.max_genes >= 2, "max_genes", "at least 2, or 0 for all", "Raise it.")
    check(0 < config.min_panel_share <= 1, "min_panel_share", "above 0, at most 1", "Give a share such as 0.5.")
    check(0 <= config.test_share <= 0.5, "test_share", "from 0 to 0.5", "Give a share such as 0.2; 0 for no test part.")
    check(
        not (config.test_share == 0 and config.hold_out), "hold_out", "no test donors with a test share of 0",
        "Leave one of the two away.",
    )  # fmt: skip
    check(0 <= config.seed < 2**32, "seed", "a whole number from 0 to 2**32 - 1", "Give another seed.")
    check(config.device in ("cpu", "cuda"), "device", "cpu or cuda", "Name one of them.")
    check(not (config.hold_out and config.donor is None), "hold_out", "a donor column as well",
          "Name the column with --donor.")  # fmt: skip
    check(is_model_name(config.name), "name", 'a name without / : @ . % " or \\', "Use letters, digits, - and _.")
    check.at_least("n_members", 1)
    for name in ("test_label", "test_labels", "test_layer", "test_library_size"):
        given = getattr(config, name) is not None
        check(not given or config.test_data is not None, name, "an independent file as well",
              "Name the file with --test.")  # fmt: skip
    check(config.evaluate in ("fast", "full"), "evaluate", "fast or full", "Name one of them.")
    return check.problems


def _fit_problems(fit: FitSettings) -> list[Finding]:
    check, of_shape = Checks(fit), Checks(fit.shape)
    check.at_least("max_epochs", 1)
    check.at_least("patience", 1)
    check.at_least("batch_size", 2, "Raise it: BatchNorm needs two cells.")
    check(0 < fit.learning_rate < math.inf, "learning_rate", "above 0", "Give a rate such as 0.001.")
    check(0 <= fit.weight_decay < math.inf, "weight_decay", "at least 0", "Give a value such as 0.0001.")
    check(0 <= fit.noise < math.inf, "noise", "at least 0", "Give a standard deviation such as 1.")
    check.one_of("balance", Balance)
    check.one_of("optimizer", Optimizer)
    check.one_of("schedule", Schedule)
    check.at_least("warmup_steps", 0)
    check.one_of("stop", Stop)
    check(0 <= fit.gate_penalty < math.inf, "gate_penalty", "at least 0", "Give a value such as 0.001, or 0 for none.")
    check(0 <= fit.augmented <= 1, "augmented", "from 0 to 1", "Give a share of cells such as 0.5, or 0 for none.")
    check(0 < fit.least_counts <= 1, "least_counts", "above 0, at most 1", "Give a share of counts such as 0.1.")
    check(0 <= fit.most_missing < 1, "most_missing", "at least 0, below 1", "Give a share of genes such as 0.5.")
    shape = fit.shape
    of_shape(0 <= shape.dropout < 1, "dropout", "at least 0, below 1", "Give a share such as 0.25.")
    layers = len(shape.hidden_units) >= 1 and all(units >= 1 for units in shape.hidden_units)
    of_shape(layers, "hidden_units", "one hidden layer or more, of 1 unit or more", "Give sizes such as 256.")
    return check.problems + of_shape.problems


def _tune_problems(tune: TuneSettings) -> list[Finding]:
    check = Checks(tune, prefix="tune.")
    check.at_least("n_trials", 0)
    check.at_least("max_epochs", 1)
    check.one_of("metric", Metric)
    check.one_of("pruner", Pruner)
    check.at_least("prune_after", 0)
    check(tune.patience is None or tune.patience >= 1, "patience", "at least 1, or none", "Raise it.")
    budget = tune.time_budget is None or 0 < tune.time_budget < math.inf
    check(budget, "time_budget", "seconds above 0", "Give a number of seconds, such as 600.")
    check(tune.study_name is None or tune.study is not None, "study_name", "a study as well",
          "Name its file or database with --study.")  # fmt: skip
    check(tune.study_name is None or bool(tune.study_name.strip()), "study_name", "a name", "Give one, or none.")
    check(tune.study is None or bool(tune.study.strip()), "study", "a file or URL", "Give one, or none.")
    return check.problems


def _space_problems(space: SearchSpace) -> list[Finding]:
    check = Checks(space, prefix="tune.space.")

    def is_in(name: str, *, lowest: float, highest: float = math.inf) -> bool:
        return is_range(*getattr(space, name), lowest=lowest, highest=highest)

    expected = "the lowest and the highest value, "
    remedy = "Give two values, the lower one first."
    check(is_in("n_layers", lowest=1), "n_layers", expected + "at least 1", remedy)
    check(is_in("units", lowest=1), "units", expected + "at least 1", remedy)
    check(is_in("dropout", lowest=0) and space.dropout[1] < 1, "dropout", expected + "from 0 to below 1", remedy)
    rates = is_in("learning_rate", lowest=0) and space.learning_rate[0] > 0
    check(rates, "learning_rate", expected + "above 0", remedy)
    check(is_in("noise", lowest=0), "noise", expected + "at least 0", remedy)
    return check.problems


def _marker_problems(markers: MarkerSettings) -> list[Finding]:
    check = Checks(markers, prefix="markers.")
    check.one_of("ranking", Ranking)
    check.one_of("baseline", BaselineKind)
    check.at_least("n_permutations", 1)
    check.at_least("n_bootstraps", 0)
    check.at_least("n_candidates", 1)
    both = sorted(set(markers.include_genes) & set(markers.exclude_genes))
    check(
        not both,
        "exclude_genes",
        "genes that are not to be included as well",
        f"Take {', '.join(both[:5])} out of one.",
    )
    return check.problems
