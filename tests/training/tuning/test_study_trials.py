"""Which trials of a study count, which are run again, and which is the best."""

from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from cellmark.training.tuning.study_trials import (
    MAX_ATTEMPTS,
    best_trial,
    draw_seed,
    enqueue_first,
    is_surplus,
    n_begun,
    n_done,
    rank,
    repeat_unfinished,
    trials_frame,
)

DRAWN: dict[str, Any] = {"n_layers": 1, "units_1": 8, "dropout": 0.2, "learning_rate": 1e-3, "noise": 1.0}


def add(study: optuna.Study, state: str, value: float | None = None, *, drawn: bool = True, **attrs: Any) -> None:
    ranges: dict[str, Any] = {
        name: IntDistribution(1, 9) if isinstance(given, int) else FloatDistribution(0, 9)
        for name, given in DRAWN.items()
    }
    study.add_trial(
        create_trial(
            state=getattr(TrialState, state), value=value, user_attrs=attrs, params=DRAWN if drawn else {},
            distributions=ranges if drawn else {}, intermediate_values={1: value} if value else {},
        )
    )  # fmt: skip


@pytest.fixture
def study() -> optuna.Study:
    return optuna.create_study(direction="maximize")


@pytest.mark.parametrize(
    ("trials", "best"),
    [
        ([(0.8, 0.5), (0.9, 0.7), (0.7, 0.1)], 1),
        ([(0.9, 0.5), (0.9, 0.4), (0.9, 0.6)], 1),
        ([(0.8, 0.1), (0.9, 0.5), (0.9, 0.5)], 1),
        ([(0.9, float("nan")), (0.9, 5.0)], 1),
        ([(0.0, 1.0)], 0),
        ([], None),
    ],
)
def test_equal_values_are_told_apart_by_the_loss_then_by_the_order(
    study: optuna.Study, trials: list[tuple[float, float]], best: int | None
) -> None:
    for value, loss in trials:
        add(study, "COMPLETE", value, validation_loss=loss)
    add(study, "PRUNED", 0.99)
    found = best_trial(study)
    assert (found.number if found else None) == best


def test_failed_and_waiting_trials_do_not_count(study: optuna.Study) -> None:
    for state, value in (("COMPLETE", 0.1), ("FAIL", None), ("PRUNED", 0.2), ("RUNNING", None), ("WAITING", None)):
        add(study, state, value)
    assert (n_done(study), n_begun(study)) == (2, 3)
    assert [rank(study, number) for number in range(5)] == [0, 1, 1, 2, 3]
    assert draw_seed(study, 1, 7) == draw_seed(study, 2, 7), "a repeated trial draws what the failed one drew"
    assert len({draw_seed(study, number, 7) for number in range(5)}) == 4
    assert draw_seed(study, 0, 7) != draw_seed(study, 0, 8)


def test_a_trial_beyond_those_wanted_and_a_second_one_of_a_claim_are_surplus(study: optuna.Study) -> None:
    add(study, "FAIL")
    add(study, "RUNNING", claim="first")
    add(study, "RUNNING", claim="first")
    add(study, "RUNNING")
    add(study, "RUNNING")
    assert [is_surplus(study, number, 3) for number in range(1, 5)] == [False, True, False, True]


def test_failed_trials_are_enqueued_once_with_their_values(study: optuna.Study) -> None:
    add(study, "FAIL")
    add(study, "FAIL", drawn=False, given={"n_layers": 2})
    add(study, "FAIL", drawn=False)
    add(study, "FAIL", reason="surplus")
    for _ in range(2):
        repeat_unfinished(study)
    waiting = study.trials[4:]
    assert [trial.state for trial in waiting] == [TrialState.WAITING] * 3
    assert [trial.user_attrs["claim"] for trial in waiting] == ["again 0", "again 1", "again 2"]
    assert [trial.system_attrs["fixed_params"] for trial in waiting] == [DRAWN, {"n_layers": 2}, {}]
    assert trials_frame(study)["repeated"].tolist()[4:] == [0, 1, 2]


def test_a_trial_that_fails_again_and_again_is_given_up_and_other_values_are_drawn(study: optuna.Study) -> None:
    add(study, "FAIL")
    for attempt in range(2, MAX_ATTEMPTS + 1):
        repeat_unfinished(study)
        trial = study.ask()
        assert trial.user_attrs["attempt"] == attempt
        study.tell(trial, state=TrialState.FAIL)
    repeat_unfinished(study)
    assert not any(trial.state == TrialState.WAITING for trial in study.trials)
    add(study, "RUNNING")
    fresh = optuna.create_study()
    add(fresh, "RUNNING")
    assert draw_seed(study, MAX_ATTEMPTS, 0) != draw_seed(fresh, 0, 0)


def test_a_trial_that_ran_out_of_time_is_never_given_up(study: optuna.Study) -> None:
    for _ in range(MAX_ATTEMPTS + 2):
        repeat_unfinished(study)
        trial = study.ask()
        trial.set_user_attr("reason", "time budget")
        study.tell(trial, state=TrialState.FAIL)
    repeat_unfinished(study)
    assert study.trials[-1].state == TrialState.WAITING


def test_first_values_are_enqueued_in_a_new_study_only(study: optuna.Study) -> None:
    enqueue_first(study, {"n_layers": 2})
    enqueue_first(study, {"n_layers": 3})
    (trial,) = study.trials
    assert trial.system_attrs["fixed_params"] == {"n_layers": 2}


def test_the_table_has_its_columns_without_trials_and_names_sizes(study: optuna.Study) -> None:
    assert trials_frame(study).empty
    assert "hidden_units" in trials_frame(study)
    add(study, "COMPLETE", 0.5, validation_loss=0.3, best_epoch=1)
    add(study, "WAITING", drawn=False)
    frame = trials_frame(study)
    assert frame["hidden_units"].tolist() == ["8", ""]
    assert frame["state"].tolist() == ["complete", "waiting"]
    assert frame["best_epoch"].dtype == "Int64"
