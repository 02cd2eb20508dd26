"""A study's trials: which count, which are to be run again, and which is the best."""

import math
import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pandas as pd
import psutil
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import RetryHeartbeatStaleTrialCallback
from optuna.trial import FrozenTrial, TrialState

MAX_ATTEMPTS = 3
"""A trial that ended its process so often, for want of memory perhaps, is given up."""
SURPLUS, OUT_OF_TIME = "surplus", "time budget"
DONE = (TrialState.COMPLETE, TrialState.PRUNED)
"""Trials that have ended by themselves."""
BEGUN = (*DONE, TrialState.RUNNING)
COLUMNS = [
    *("number", "state", "value", "validation_loss", "best_epoch", "n_epochs", "seconds", "hidden_units"),
    *("dropout", "learning_rate", "noise", "reason", "repeated"),
]


def history(trial: FrozenTrial) -> list[int]:
    """Numbers of the failed trials that a trial stands for, in order."""
    return list(trial.system_attrs.get("retry_history", []))


def count(study: optuna.Study, states: tuple[TrialState, ...], *, before: float = math.inf) -> int:
    """Trials in one of `states`, of those whose number is below `before`."""
    return sum(trial.number < before for trial in study.get_trials(deepcopy=False, states=states))


def draw_seed(study: optuna.Study, number: int, seed: int) -> int:
    """Seed of the sampler for trial `number`.

    It goes by the number of trials before it that have not failed: a study that was killed and resumed draws what it
    would have drawn otherwise. A trial that was given up changes it, or the same values would be drawn again.
    """
    trials = study.get_trials(deepcopy=False)
    given_up = sum(_is_given_up(trials, trial) for trial in trials[:number])
    return int(np.random.SeedSequence([seed, count(study, BEGUN, before=number), given_up]).generate_state(1)[0])


def is_surplus(study: optuna.Study, number: int, n_trials: int) -> bool:
    """Whether other processes have begun enough trials already, or have begun this very one."""
    trials = study.get_trials(deepcopy=False)
    claim = _claim(trials[number])
    return count(study, BEGUN, before=number) >= n_trials or any(
        any(claim) and _claim(trial) == claim and trial.user_attrs.get("reason") != SURPLUS for trial in trials[:number]
    )


def enqueue_first(study: optuna.Study, values: dict[str, Any]) -> None:
    """Have the values given tried first, unless the study has begun."""
    if not study.get_trials(deepcopy=False):
        study.enqueue_trial(values, user_attrs={"first": True})


def repeat_unfinished(study: optuna.Study) -> None:
    """Fail the trials of processes that are no more, and have Optuna enqueue each failed trial again.

    Optuna's storage calls its callback for lost heartbeats alone; a trial may also have failed by an interruption or
    the time budget, and one whose process was killed on this machine need not be waited for.
    """
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        if has_ended(trial.user_attrs.get("process")):
            try:
                study.tell(trial.number, state=TrialState.FAIL)
            except (ValueError, UpdateFinishedTrialError):  # another process was faster
                continue
    optuna.storages.fail_stale_trials(study)
    trials = study.get_trials()
    repeated = {number for trial in trials for number in history(trial)[-1:]}
    for trial in trials:
        if trial.state != TrialState.FAIL or trial.user_attrs.get("reason") == SURPLUS or trial.number in repeated:
            continue
        max_retry = MAX_ATTEMPTS - 1 + _n_out_of_time(trials, trial)
        trial.user_attrs = {name: value for name, value in trial.user_attrs.items() if name == "first"}
        if "noise" not in trial.params:  # the last one drawn: what is incomplete is drawn anew
            trial.params, trial.distributions = {}, {}
        RetryHeartbeatStaleTrialCallback(max_retry)(study, trial)


def best_trial(study: optuna.Study) -> FrozenTrial | None:
    """The complete trial with the largest value; of equal ones that with the lower validation loss, then the earlier.

    Accuracy on few validation cells takes few values, so that ties are common.
    """
    return min(study.get_trials(deepcopy=False, states=DONE[:1]), key=_worth, default=None)


def trials_frame(study: optuna.Study) -> pd.DataFrame:
    """One row per trial, in order: state, value, loss, epochs, seconds, values drawn, why it was cut short.

    `state`: complete, pruned, failed, running or waiting. `value`: of a pruned trial that of its last epoch.
    `hidden_units`: sizes of the hidden layers between commas. `repeated`: the failed trial that this one stands for.
    """
    rows = [
        {
            **trial.params,
            **trial.user_attrs,
            "number": trial.number,
            "state": "failed" if trial.state == TrialState.FAIL else trial.state.name.lower(),
            "value": trial.value,
            "n_epochs": len(trial.intermediate_values),
            "seconds": trial.duration.total_seconds() if trial.duration else None,
            "hidden_units": ",".join(
                str(trial.params.get(f"units_{layer}", "?")) for layer in range(1, trial.params.get("n_layers", 0) + 1)
            ),
            "reason": trial.user_attrs.get("reason"),
            "repeated": next(iter(history(trial)[-1:]), None),
        }
        for trial in study.get_trials(deepcopy=False)
    ]
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.astype({"best_epoch": "Int64", "repeated": "Int64", "value": float, "validation_loss": float})


def this_process() -> str:
    """A name that no other process on any machine has had."""
    return f"{_machine()}/{os.getpid()}:{_started(psutil.Process()):.2f}"


def has_ended(process: str | None) -> bool:
    """Whether a process, by its name, was on this machine (and in this container) and is no more.

    False when that cannot be known from here.
    """
    machine, _, known = (process or "").rpartition("/")
    if machine != _machine():
        return False
    number, _, started = known.partition(":")
    try:
        now = psutil.Process(int(number))
        return now.status() == psutil.STATUS_ZOMBIE or abs(_started(now) - float(started)) > 0.5
    except psutil.NoSuchProcess:
        return True
    except (psutil.Error, ValueError):
        return False


def _machine() -> str:
    """A start of a machine, and on Linux the container within it: process numbers mean nothing elsewhere."""
    try:
        boot, container = Path("/proc/sys/kernel/random/boot_id"), Path("/proc/self/ns/pid")
        return f"{boot.read_text().strip()}/{container.readlink()}"
    except OSError:
        return f"{platform.node()}/{psutil.boot_time():.0f}"


def _started(process: psutil.Process) -> float:
    """Seconds from the machine's start, which a change of the clock does not move."""
    return float(process.create_time() - psutil.boot_time())


def _claim(trial: FrozenTrial) -> tuple[bool, tuple[int, ...]]:
    """What a trial was enqueued for; two processes may have enqueued it at once."""
    return trial.user_attrs.get("first", False), tuple(history(trial))


def _n_out_of_time(trials: list[FrozenTrial], trial: FrozenTrial) -> int:
    return sum(trials[number].user_attrs.get("reason") == OUT_OF_TIME for number in [*history(trial), trial.number])


def _is_given_up(trials: list[FrozenTrial], trial: FrozenTrial) -> bool:
    if trial.state != TrialState.FAIL or trial.user_attrs.get("reason") in (SURPLUS, OUT_OF_TIME):
        return False
    return len(history(trial)) + 1 - _n_out_of_time(trials, trial) >= MAX_ATTEMPTS


def _worth(trial: FrozenTrial) -> tuple[float, float, int]:
    loss = float(trial.user_attrs.get("validation_loss", math.inf))
    return -float(trial.value or 0), math.inf if math.isnan(loss) else loss, trial.number
