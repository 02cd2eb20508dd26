"""The search for a network's settings: Optuna's trials on validation cells."""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

import optuna
import pandas as pd

from cellmark.schemas.errors import Finding

from ..network.fit import Epoch, FitSettings, fit
from ..network.fit_settings import FitData
from .study_storage import open_study, study_errors, study_facts
from .study_trials import (
    BEGUN,
    DONE,
    OUT_OF_TIME,
    SURPLUS,
    best_trial,
    count,
    draw_seed,
    enqueue_first,
    is_surplus,
    repeat_unfinished,
    this_process,
    trials_frame,
)
from .tune_settings import Trial, TrialState, TuneSettings, drawn_values

STATES: dict[str, TrialState] = {"COMPLETE": "complete", "PRUNED": "pruned"}
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
    ends = time.monotonic() + (settings.time_budget or float("inf"))
    with study_errors(settings.study), _quiet():
        study = open_study(settings, name=name, facts=study_facts(data, base=base, settings=settings, seed=seed))
        if settings.base_first and settings.space.contains(base):
            enqueue_first(study, drawn_values(base))
        while count(study, DONE) < settings.n_trials and time.monotonic() < ends:
            repeat_unfinished(study)
            if count(study, BEGUN) < settings.n_trials:
                _Attempt(study, data, base, settings, seed, device, ends).run(listener)
            else:
                time.sleep(min(SECONDS_BETWEEN_LOOKS, max(ends - time.monotonic(), 0)))
        best = best_trial(study)
        if count(study, DONE) < settings.n_trials:
            listener.note(_unfinished(count(study, DONE), settings, found_one=best is not None))
        return Tuned(
            settings=settings.space.suggest(optuna.trial.FixedTrial(best.params), base) if best else base,
            trials=trials_frame(study),
            best_number=best.number if best else None,
            best_value=best.value if best else None,
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


@dataclass
class _Attempt:
    """One trial as this process runs it. `finished`: all that is left is to record it in the study."""

    study: optuna.Study
    data: FitData
    base: FitSettings
    settings: TuneSettings
    seed: int
    device: str
    ends: float
    epochs: list[Epoch] = field(default_factory=list)
    number: int = -1
    drawn: FitSettings | None = None
    finished: bool = False

    def run(self, listener: TuneListener) -> None:
        """Run the trial and notify the listener of how it ended."""
        began, clock = time.time(), time.monotonic()
        try:
            self.study.optimize(self._objective, n_trials=1, catch=(_Cut,))
        except ValueError:
            # Another process failed this one's trial, which is begun again: no reason to end the search.
            if not self.finished or self.study.trials[self.number].state.name != "FAIL":
                raise
            self.drawn = None
        finally:
            if self.drawn is not None:
                ended, best = self.study.trials[self.number], best_trial(self.study)
                listener.trial(
                    Trial(
                        number=self.number,
                        n_done=count(self.study, DONE),
                        n_trials=self.settings.n_trials,
                        state=STATES.get(ended.state.name, "failed"),
                        value=ended.value,
                        best_value=best.value if best else None,
                        metric=self.settings.metric,
                        settings=self.drawn,
                        epochs=tuple(self.epochs),
                        began=began,
                        seconds=time.monotonic() - clock,
                        reason=ended.user_attrs.get("reason"),
                    )
                )

    def _objective(self, trial: optuna.Trial) -> float:
        self.number = trial.number
        if is_surplus(self.study, trial.number, self.settings.n_trials):
            self._cut(trial, SURPLUS)
        trial.set_user_attr("process", this_process())
        # Neither what other trials drew nor the version of Optuna changes what is drawn at random.
        self.study.sampler = optuna.samplers.TPESampler(
            seed=draw_seed(self.study, trial.number, self.seed), multivariate=False, constant_liar=True
        )
        self.drawn = self.settings.space.suggest(trial, trial_settings(self.base, self.settings))

        def on_epoch(epoch: Epoch) -> None:
            self.epochs.append(epoch)
            trial.report(self._value(epoch), epoch.number)
            if time.monotonic() > self.ends:
                self._cut(trial, OUT_OF_TIME)
            if epoch.number < self.settings.max_epochs and trial.should_prune():
                self.finished = True
                raise optuna.TrialPruned

        fitted = fit(self.data, settings=self.drawn, seed=self.seed, device=self.device, on_epoch=on_epoch)
        kept = fitted.epochs[fitted.best_epoch - 1]
        trial.set_user_attr("validation_loss", kept.validation_loss)
        trial.set_user_attr("best_epoch", fitted.best_epoch)
        self.finished = True
        return self._value(kept)

    def _cut(self, trial: optuna.Trial, reason: str) -> NoReturn:
        self.finished = reason == SURPLUS
        trial.set_user_attr("reason", reason)
        raise _Cut(reason)

    def _value(self, epoch: Epoch) -> float:
        return epoch.validation_macro_f1 if self.settings.metric == "macro_f1" else epoch.validation_accuracy


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
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
