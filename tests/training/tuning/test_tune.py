"""The search: what wins, what a seed settles, and that it stops when it should."""

from typing import Any

import numpy as np
import optuna
import pandas as pd
import pytest

from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.fit import FitSettings, fit
from cellmark.training.network.fit_settings import FitData
from cellmark.training.tuning import tune as tune_module
from cellmark.training.tuning.tune import trial_settings
from cellmark.training.tuning.tune_settings import SearchSpace, TuneSettings
from fixtures import search_in_a_process

PROGRAM = vars(search_in_a_process)
search, draw, Heard, BASE, SPACE = (PROGRAM[name] for name in ("search", "draw", "Heard", "BASE", "SPACE"))


@pytest.fixture(scope="module")
def heard() -> Any:
    return Heard()


@pytest.fixture(scope="module")
def tuned(heard: Any) -> Any:
    """A search of ten trials."""
    return search(heard=heard)


def test_the_best_trial_is_the_one_with_the_largest_value_and_its_settings_are_returned(tuned: Any, heard: Any) -> None:
    complete = tuned.trials[tuned.trials["state"] == "complete"]
    assert tuned.best_value == complete["value"].max()
    best = heard.trials[tuned.best_number]
    assert (tuned.settings.shape, tuned.settings.learning_rate) == (best.settings.shape, best.settings.learning_rate)
    assert (tuned.settings.max_epochs, tuned.settings.patience) == (BASE.max_epochs, BASE.patience)
    assert len(tuned.trials) == 10
    assert tuned.study_name is None
    assert not heard.notes


def test_a_value_is_that_of_the_network_that_fit_keeps(tuned: Any, heard: Any) -> None:
    trial = heard.trials[tuned.best_number]
    x, codes = draw()
    cells = np.arange(len(codes))
    again = fit(
        FitData(x, codes, cells[cells % 4 > 0], cells[cells % 4 == 0], 3), settings=trial.settings,
        seed=1,
    )  # fmt: skip
    kept = again.epochs[again.best_epoch - 1]
    assert tuned.best_value == trial.value == kept.validation_accuracy
    row = tuned.trials.iloc[trial.number]
    assert (row["best_epoch"], row["n_epochs"]) == (again.best_epoch, len(again.epochs))
    assert row["validation_loss"] == pytest.approx(kept.validation_loss)
    assert trial.epochs == again.epochs


def test_the_listener_hears_of_every_trial_as_it_ends(tuned: Any, heard: Any) -> None:
    assert [trial.number for trial in heard.trials] == list(range(10))
    assert [trial.n_done for trial in heard.trials] == list(range(1, 11))
    assert {trial.state for trial in heard.trials} == {"complete", "pruned"}, "the median of 5 prunes some of 5 more"
    for trial in heard.trials:
        best = max(before.value for before in heard.trials[: trial.n_done] if before.state == "complete")
        assert trial.best_value == best
        assert trial.seconds > 0
    assert [trial.value for trial in heard.trials] == tuned.trials["value"].tolist()


def test_the_same_seed_gives_the_same_trials_and_another_seed_others(tuned: Any) -> None:
    columns = [name for name in tuned.trials.columns if name != "seconds"]
    pd.testing.assert_frame_equal(search().trials[columns], tuned.trials[columns])
    assert search(seed=2).trials["value"].tolist() != tuned.trials["value"].tolist()


def test_the_first_trial_has_the_settings_given_where_they_lie_in_the_space(tuned: Any, heard: Any) -> None:
    assert heard.trials[0].settings.shape == BASE.shape
    assert heard.trials[0].settings.learning_rate == BASE.learning_rate
    outside = Heard()
    search(n_trials=1, base=FitSettings(shape=NetworkShape((300,)), batch_size=32), heard=outside)
    assert SPACE.contains(outside.trials[0].settings)
    drawn = Heard()
    search(n_trials=1, base_first=False, heard=drawn)
    assert drawn.trials[0].settings.shape != BASE.shape


def test_macro_f1_can_be_the_metric() -> None:
    heard = Heard()
    search(n_trials=2, metric="macro_f1", heard=heard)
    trial = heard.trials[0]
    best_epoch = min(trial.epochs, key=lambda epoch: epoch.validation_loss)
    assert trial.value == pytest.approx(best_epoch.validation_macro_f1)


def test_without_a_pruner_every_trial_is_complete(tuned: Any) -> None:
    whole = search(pruner="none")
    assert set(whole.trials["state"]) == {"complete"}
    assert set(whole.trials["n_epochs"]) == {4}
    started = tuned.trials["number"] < 5
    columns = ["value", "hidden_units", "learning_rate"]
    pd.testing.assert_frame_equal(whole.trials.loc[started, columns], tuned.trials.loc[started, columns])


def test_trials_run_all_their_epochs_unless_told_to_stop_early() -> None:
    settings = TuneSettings(max_epochs=30)
    assert trial_settings(FitSettings(patience=3, stop="train_loss"), settings).patience == 30
    assert trial_settings(FitSettings(), TuneSettings(patience=2)).patience == 2
    plain = trial_settings(FitSettings(schedule="plateau", warmup_steps=30), TuneSettings(plain=True))
    assert (plain.schedule, plain.warmup_steps, plain.weight_decay) == ("constant", 0, 0.0)
    # Types that differ by nothing: the loss on validation cells soon rises.
    stopped = search(lift=0.0, n_trials=3, max_epochs=30, patience=2, pruner="none", base_first=False,
                     space=SearchSpace(units=(16, 16), learning_rate=(5e-2, 1e-1)))  # fmt: skip
    assert (stopped.trials["n_epochs"] == stopped.trials["best_epoch"] + 2).all()


def test_trials_with_the_same_settings_are_equal_and_the_first_of_them_is_chosen() -> None:
    same = {"units": (8, 8), "n_layers": (1, 1), "learning_rate": (1e-2, 1e-2), "dropout": (0.2, 0.2)}
    equal = search(n_trials=3, pruner="none", space=SearchSpace(**same), base_first=False)
    assert len(set(equal.trials["validation_loss"])) == 1, "all trials share the seed"
    assert equal.best_number == 0


class Clock:
    """Time in which an epoch takes a second, and nothing else takes any."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0.0
        monkeypatch.setattr(tune_module, "time", self)
        monkeypatch.setattr(tune_module, "fit", self.fit)

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def fit(self, *arguments: Any, on_epoch: Any, **named: Any) -> Any:
        def hear(epoch: Any) -> None:
            self.now += 1
            on_epoch(epoch)

        return fit(*arguments, on_epoch=hear, **named)


def test_when_time_is_up_the_running_trial_ends_and_the_best_so_far_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    clock, heard = Clock(monkeypatch), Heard()
    tuned = search(n_trials=50, pruner="none", time_budget=9.5, heard=heard)
    assert clock.now == 10, "the trial ends with its epoch"
    assert tuned.trials["state"].tolist() == ["complete", "complete", "failed"]
    assert tuned.trials["n_epochs"].tolist() == [4, 4, 2]
    assert heard.trials[-1].reason == tuned.trials["reason"].iloc[-1] == "time budget"
    assert tuned.best_number in (0, 1)
    (note,) = heard.notes
    assert (note.code, note.severity) == ("TUNING_UNFINISHED", "warning")
    assert "2 when time was up; the best" in note.found


def test_no_trial_starts_after_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    tuned = search(n_trials=50, pruner="none", time_budget=8.0)
    assert tuned.trials["state"].tolist() == ["complete", "complete"]


def test_without_a_complete_trial_the_settings_given_are_used_and_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Clock(monkeypatch)
    heard = Heard()
    tuned = search(time_budget=1.5, heard=heard)
    assert tuned.settings == BASE
    assert (tuned.best_number, tuned.best_value) == (None, None)
    assert "the settings given are used" in heard.notes[0].found


def test_a_fault_in_a_fit_ends_the_search_and_its_trial_is_heard_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(tune_module, "fit", broken)
    heard = Heard()
    with pytest.raises(ZeroDivisionError):
        search(heard=heard)
    assert [trial.state for trial in heard.trials] == ["failed"]


def test_optuna_is_left_as_it_was(tuned: Any) -> None:
    before = optuna.logging.get_verbosity()
    search(n_trials=1)
    assert optuna.logging.get_verbosity() == before
