"""The search for a network's settings: Optuna's trials on validation cells."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol

import pandas as pd

from cellmark.schemas.errors import Finding

from ..network.fit import Epoch, FitSettings, fit
from ..network.fit_data import FitData
from .search_space import drawn_values
from .study_storage import open_study, study_errors, study_facts
from .study_trials import (
    OUT_OF_TIME,
    SURPLUS,
    best_trial,
    draw_seed,
    enqueue_first,
    is_surplus,
    n_begun,
    n_done,
    repeat_unfinished,
    trials_frame,
)
from .trial import Trial
from .tune_settings import TuneSettings
from .worker_process import this_process

if TYPE_CHECKING:
    import optuna

SECONDS_BETWEEN_LOOKS = 1.0
"""While trials of other processes are waited for."""


class TuneListener(Protocol):
    """Who hears of a search: the part of a run's `Listener` that it needs."""

    def note(self, finding: Finding) -> None: ...

    def trial(self, trial: Trial) -> None: ...


@dataclass(frozen=True)
class Tuned:
    """What a search found. `settings`: the base settings with the best trial's values, or as they were when no trial
    was complete. `trials`: as `trials_frame` gives. `best_number`, `best_value`: of the best trial. `study_name`: in
    its storage; None in memory.
    """

    settings: FitSettings
    trials: pd.DataFrame
    best_number: int | None
    best_value: float | None
    metric: str
    study_name: str | None


class _Cut(Exception):  # noqa: N818  (no error: a trial ends)
    """Ends a trial; its reason is kept with it."""


def tune(
    data: FitData,
    *,
    base: FitSettings,
    settings: TuneSettings,
    seed: int,
    listener: TuneListener,
    device: str = "cpu",
    name: str = "cellmark",
) -> Tuned:
    """Search for settings until the study has `settings.n_trials` trials, or time is up.

    No cells are looked at but those that `data` trains and validates on. `base`: what trials start from and what is
    returned with the best values. `name`: of the model, for the study. A trial's value is the metric at the epoch that
    `fit` keeps; of trials with equal values the one with the lower validation loss is the best, then the earlier one.

    All trials have the same seed, that of the networks to be fitted. In one process the result depends on the seed
    alone, whether the study was killed and resumed or not; with a time budget, or several processes on one study, it
    depends on their speed as well, and the study records what was tried. Trials that a killed process left are run
    again; those of other processes are waited for. Raises `ParameterError` or `SetupError` for a study that cannot be
    used.
    """
    facts = study_facts(data, base=base, settings=settings, seed=seed)
    ends = time.monotonic() + settings.time_budget if settings.time_budget else float("inf")
    with study_errors(settings.study), _quiet():
        study = open_study(settings, name=name, facts=facts)
        study.pruner = _pruner(settings)
        if settings.base_first and settings.space.contains(base):
            enqueue_first(study, drawn_values(base))
        while time.monotonic() < ends:
            repeat_unfinished(study)
            if n_begun(study) < settings.n_trials:
                _run_trial(
                    study,
                    data,
                    base=base,
                    settings=settings,
                    seed=seed,
                    device=device,
                    ends=ends,
                    listener=listener,
                )
            elif n_done(study) < settings.n_trials:
                time.sleep(min(SECONDS_BETWEEN_LOOKS, max(ends - time.monotonic(), 0)))
            else:
                break
        best = best_trial(study)
        if n_done(study) < settings.n_trials:
            listener.note(_unfinished(n_done(study), settings, found_one=best is not None))
        return Tuned(
            settings=base if best is None else settings.space.suggest(_fixed(best.params), base),
            trials=trials_frame(study),
            best_number=None if best is None else best.number,
            best_value=None if best is None else best.value,
            metric=settings.metric,
            study_name=study.study_name if settings.study else None,
        )


def trial_settings(base: FitSettings, settings: TuneSettings) -> FitSettings:
    """What a trial starts from, before values are drawn."""
    patience = settings.max_epochs if settings.patience is None else settings.patience
    of_trial = replace(base, max_epochs=settings.max_epochs, patience=patience, stop="validation_loss")
    if settings.plain:
        return replace(of_trial, schedule="constant", warmup_steps=0, weight_decay=0.0)
    return of_trial


def _run_trial(
    study: "optuna.Study",
    data: FitData,
    *,
    base: FitSettings,
    settings: TuneSettings,
    seed: int,
    device: str,
    ends: float,
    listener: TuneListener,
) -> None:
    """Run one trial and tell the listener how it ended."""
    import optuna

    began, clock = time.time(), time.monotonic()
    epochs: list[Epoch] = []
    number = -1
    drawn: FitSettings | None = None
    finished = False

    def objective(trial: "optuna.Trial") -> float:
        nonlocal number, drawn, finished
        number = trial.number
        if is_surplus(study, number, settings.n_trials):
            trial.set_user_attr("reason", SURPLUS)
            finished = True
            raise _Cut(SURPLUS)
        trial.set_user_attr("process", this_process())
        # Neither what other trials drew nor the version of Optuna changes what is drawn at random.
        study.sampler = optuna.samplers.TPESampler(
            seed=draw_seed(study, number, seed), multivariate=False, constant_liar=True
        )
        drawn = settings.space.suggest(trial, trial_settings(base, settings))

        def on_epoch(epoch: Epoch) -> None:
            nonlocal finished
            epochs.append(epoch)
            trial.report(_value(epoch, settings), epoch.number)
            if time.monotonic() > ends:
                trial.set_user_attr("reason", OUT_OF_TIME)
                raise _Cut(OUT_OF_TIME)
            if epoch.number < settings.max_epochs and trial.should_prune():
                finished = True  # what is left is to tell the study, as for a trial that ran to its end
                raise optuna.TrialPruned

        fitted = fit(data, settings=drawn, seed=seed, device=device, on_epoch=on_epoch)
        kept = fitted.epochs[fitted.best_epoch - 1]
        trial.set_user_attr("validation_loss", kept.validation_loss)
        trial.set_user_attr("best_epoch", fitted.best_epoch)
        finished = True
        return _value(kept, settings)

    try:
        study.optimize(objective, n_trials=1, catch=(_Cut,))
    except ValueError:
        # Another process failed this one's trial, which is begun again: no reason to end the search.
        if not finished or study.trials[number].state.name != "FAIL":
            raise
        drawn = None
    finally:
        ended = next((trial for trial in study.get_trials(deepcopy=False) if trial.number == number), None)
        if ended is not None and drawn is not None:
            best = best_trial(study)
            state = ended.state.name.lower()
            listener.trial(
                Trial(
                    number=number,
                    n_done=n_done(study),
                    n_trials=settings.n_trials,
                    state=state if state in ("complete", "pruned") else "failed",
                    value=ended.value,
                    best_value=best.value if best else None,
                    metric=settings.metric,
                    settings=drawn,
                    epochs=tuple(epochs),
                    began=began,
                    seconds=time.monotonic() - clock,
                    reason=ended.user_attrs.get("reason"),
                )
            )


def _value(epoch: Epoch, settings: TuneSettings) -> float:
    return epoch.validation_macro_f1 if settings.metric == "macro_f1" else epoch.validation_accuracy


def _fixed(values: dict[str, object]) -> "optuna.Trial":
    import optuna

    return optuna.trial.FixedTrial(values)


def _pruner(settings: TuneSettings) -> "optuna.pruners.BasePruner":
    import optuna

    if settings.pruner == "none":
        return optuna.pruners.NopPruner()
    return optuna.pruners.MedianPruner(n_warmup_steps=settings.prune_after)


def _unfinished(done: int, settings: TuneSettings, *, found_one: bool) -> Finding:
    used = "the best of them is used" if found_one else "the settings given are used"
    again = "run the same command again to go on" if settings.study else "keep the trials with --study to go on later"
    return Finding(
        "TUNING_UNFINISHED",
        where="time_budget",
        expected=f"{settings.n_trials} trials within {settings.time_budget:g} s",
        found=f"{done} when time was up; {used}",
        remedy=f"Allow more time, or {again}.",
        severity="warning",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """Optuna writes a line for every trial, and warns of what is experimental; listeners tell what matters."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
