"""A study's trials: which count, which are to be run again, and which is the best."""

import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from .search_space import is_drawn
from .worker_process import has_ended

if TYPE_CHECKING:
    import optuna
    from optuna.trial import FrozenTrial

MAX_ATTEMPTS = 3
"""A trial that ended its process so often, for want of memory perhaps, is given up."""
SURPLUS, OUT_OF_TIME = "surplus", "time budget"


def n_done(study: "optuna.Study") -> int:
    """Trials that have ended by themselves: complete or pruned."""
    return sum(trial.state.name in ("COMPLETE", "PRUNED") for trial in study.get_trials(deepcopy=False))


def n_begun(study: "optuna.Study") -> int:
    """Trials that have ended by themselves or are running."""
    return sum(_counts(trial) for trial in study.get_trials(deepcopy=False))


def rank(study: "optuna.Study", number: int) -> int:
    """How many trials that count came before trial `number`: what its number would be if none had failed."""
    return sum(_counts(trial) for trial in study.get_trials(deepcopy=False) if trial.number < number)


def draw_seed(study: "optuna.Study", number: int, seed: int) -> int:
    """Seed of the sampler for trial `number`.

    It goes by the trial's rank: a study that was killed and resumed draws what it would have drawn otherwise. A trial
    that was given up changes it, or the same values would be drawn again.
    """
    trials = study.get_trials(deepcopy=False)
    given_up = sum(_is_given_up(trial) for trial in trials if trial.number < number)
    return int(np.random.SeedSequence([seed, rank(study, number), given_up]).generate_state(1)[0])


def is_surplus(study: "optuna.Study", number: int, n_trials: int) -> bool:
    """Whether other processes have begun enough trials already, or have begun this very one."""
    if rank(study, number) >= n_trials:
        return True
    trials = study.get_trials(deepcopy=False)
    claim = _with_number(trials, number).user_attrs.get("claim")
    return claim is not None and any(
        trial.user_attrs.get("claim") == claim and trial.user_attrs.get("reason") != SURPLUS
        for trial in trials
        if trial.number < number
    )


def enqueue_first(study: "optuna.Study", values: dict[str, Any]) -> None:
    """Have the values given tried first, unless the study has begun."""
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(values, user_attrs={"claim": "first", "given": values})


def repeat_unfinished(study: "optuna.Study") -> None:
    """Fail the trials of processes that are no more, and enqueue each failed trial again with the same values."""
    import optuna

    for trial in study.get_trials(deepcopy=False):
        if trial.state.name == "RUNNING" and has_ended(trial.user_attrs.get("process")):
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL, skip_if_finished=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        optuna.storages.fail_stale_trials(study)
    trials = study.get_trials(deepcopy=False)
    claims = {trial.user_attrs.get("claim") for trial in trials}
    for trial in trials:
        claim = f"again {trial.number}"
        reason = trial.user_attrs.get("reason")
        if trial.state.name != "FAIL" or reason == SURPLUS or _is_given_up(trial) or claim in claims:
            continue
        given = trial.user_attrs.get("given") or {}
        values = dict(trial.params) if is_drawn(trial.params) else given
        attempt = trial.user_attrs.get("attempt", 1) + (reason != OUT_OF_TIME)
        study.enqueue_trial(values, user_attrs={"claim": claim, "given": given, "attempt": attempt})


def best_trial(study: "optuna.Study") -> "FrozenTrial | None":
    """The complete trial with the largest value; of equal ones that with the lower validation loss, then the earlier.

    Accuracy on few validation cells takes few values, so that ties are common.
    """
    complete = [trial for trial in study.get_trials(deepcopy=False) if trial.state.name == "COMPLETE"]
    return min(complete, key=_worth, default=None)


def trials_frame(study: "optuna.Study") -> pd.DataFrame:
    """One row per trial, in order: state, value, loss, epochs, seconds, values drawn, why it was cut short.

    `state`: complete, pruned, failed, running or waiting. `value`: of a pruned trial that of its last epoch.
    `hidden_units`: sizes of the hidden layers between commas. `repeated`: the failed trial that this one stands for.
    """
    rows = []
    for trial in study.get_trials(deepcopy=False):
        units = [
            str(trial.params.get(f"units_{layer}", "?")) for layer in range(1, trial.params.get("n_layers", 0) + 1)
        ]
        claim = str(trial.user_attrs.get("claim", ""))
        rows.append(
            {
                "number": trial.number,
                "state": "failed" if trial.state.name == "FAIL" else trial.state.name.lower(),
                "value": trial.value,
                "validation_loss": trial.user_attrs.get("validation_loss"),
                "best_epoch": trial.user_attrs.get("best_epoch"),
                "n_epochs": len(trial.intermediate_values),
                "seconds": trial.duration.total_seconds() if trial.duration else None,
                "hidden_units": ",".join(units),
                **{name: trial.params.get(name) for name in ("dropout", "learning_rate", "noise")},
                "reason": trial.user_attrs.get("reason"),
                "repeated": int(claim.removeprefix("again ")) if claim.startswith("again ") else None,
            }
        )
    columns = [
        "number",
        "state",
        "value",
        "validation_loss",
        "best_epoch",
        "n_epochs",
        "seconds",
        "hidden_units",
        "dropout",
        "learning_rate",
        "noise",
        "reason",
        "repeated",
    ]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.astype({"best_epoch": "Int64", "repeated": "Int64", "value": float, "validation_loss": float})


def _counts(trial: "FrozenTrial") -> bool:
    return trial.state.name in ("COMPLETE", "PRUNED", "RUNNING")


def _is_given_up(trial: "FrozenTrial") -> bool:
    attrs = trial.user_attrs
    cut = attrs.get("reason") in (SURPLUS, OUT_OF_TIME)
    return bool(trial.state.name == "FAIL" and not cut and attrs.get("attempt", 1) >= MAX_ATTEMPTS)


def _worth(trial: "FrozenTrial") -> tuple[float, float, int]:
    loss = float(trial.user_attrs.get("validation_loss", math.inf))
    return -float(trial.value or 0), loss if loss == loss else math.inf, trial.number


def _with_number(trials: "list[FrozenTrial]", number: int) -> "FrozenTrial":
    return next(trial for trial in trials if trial.number == number)
