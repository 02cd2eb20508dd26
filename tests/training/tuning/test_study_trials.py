"""Which trials of a study count, which are run again, and which is the best."""

import os
import subprocess
import sys
from typing import Any

import optuna
import pytest
from optuna.distributions import FloatDistribution, IntDistribution
from optuna.trial import TrialState, create_trial

from cellmark.training.tuning.study_trials import (
    BEGUN,
    DONE,
    MAX_ATTEMPTS,
    best_trial,
    count,
    draw_seed,
    enqueue_first,
    has_ended,
    is_surplus,
    repeat_unfinished,
    this_process,
    trials_frame,
)

# The search silences these warnings itself; here its parts are called one by one.
pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")

SCRIPT = """
import sys
from cellmark.training.tuning.study_trials import this_process
sys.stdout.write(f"{this_process()}\\n")
sys.stdout.flush()
sys.stdin.read()
"""
DRAWN: dict[str, Any] = {"n_layers": 1, "units_1": 8, "dropout": 0.2, "learning_rate": 1e-3, "noise": 1.0}


def add(
    study: optuna.Study, state: str, value: float | None = None, *, drawn: bool = True,
    system: dict[str, Any] | None = None, **attrs: Any,
) -> None:  # fmt: skip
    ranges: dict[str, Any] = {
        name: IntDistribution(1, 9) if isinstance(given, int) else FloatDistribution(0, 9)
        for name, given in DRAWN.items()
    }
    study.add_trial(
        create_trial(
            state=getattr(TrialState, state), value=value, user_attrs=attrs, system_attrs=system,
            params=DRAWN if drawn else {}, distributions=ranges if drawn else {},
            intermediate_values={1: value} if value else {},
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
    assert (count(study, DONE), count(study, BEGUN)) == (2, 3)
    assert [count(study, BEGUN, before=number) for number in range(5)] == [0, 1, 1, 2, 3]
    assert draw_seed(study, 1, 7) == draw_seed(study, 2, 7), "a repeated trial draws what the failed one drew"
    assert len({draw_seed(study, number, 7) for number in range(5)}) == 4
    assert draw_seed(study, 0, 7) != draw_seed(study, 0, 8)


def test_a_trial_beyond_those_wanted_and_a_second_one_of_a_claim_are_surplus(study: optuna.Study) -> None:
    add(study, "FAIL")
    add(study, "RUNNING", first=True)
    add(study, "RUNNING", first=True)
    add(study, "RUNNING")
    add(study, "RUNNING")
    assert [is_surplus(study, number, 3) for number in range(1, 5)] == [False, True, False, True]


def test_a_failed_trial_that_two_processes_enqueued_again_runs_once(study: optuna.Study) -> None:
    add(study, "FAIL")
    add(study, "FAIL", system={"retry_history": [0]})
    for _ in range(2):
        add(study, "RUNNING", system={"retry_history": [0, 1]})
    assert [is_surplus(study, number, 9) for number in (1, 2, 3)] == [False, False, True]


def test_failed_trials_are_enqueued_once_with_their_values(study: optuna.Study) -> None:
    add(study, "FAIL")
    add(study, "FAIL", drawn=False, system={"fixed_params": {"n_layers": 2}}, first=True)
    add(study, "FAIL", drawn=False)
    add(study, "FAIL", reason="surplus")
    for _ in range(2):
        repeat_unfinished(study)
    waiting = study.trials[4:]
    assert [trial.state for trial in waiting] == [TrialState.WAITING] * 3
    assert [trial.params for trial in waiting] == [DRAWN, {}, {}]
    first = study.trials[5]
    assert first.system_attrs["fixed_params"] == {"n_layers": 2}, "what it was to be tried with"
    assert [trial.user_attrs for trial in waiting] == [{}, {"first": True}, {}], "nothing of how the failed one ended"
    assert trials_frame(study)["repeated"].tolist()[4:] == [0, 1, 2]


def test_a_trial_that_fails_again_and_again_is_given_up_and_other_values_are_drawn(study: optuna.Study) -> None:
    add(study, "FAIL")
    for attempt in range(2, MAX_ATTEMPTS + 1):
        repeat_unfinished(study)
        trial = study.ask()
        assert len(study.trials[-1].system_attrs["retry_history"]) == attempt - 1
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


def test_what_was_drawn_in_part_is_drawn_anew(study: optuna.Study) -> None:
    study.add_trial(
        create_trial(state=TrialState.FAIL, params={"n_layers": 1}, distributions={"n_layers": IntDistribution(1, 9)})
    )
    repeat_unfinished(study)
    assert study.trials[-1].params == {}


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


def test_a_process_has_ended_once_it_was_killed_even_if_nobody_waited_for_it() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        name = other.stdout.readline().strip()
        assert not has_ended(name)
        other.kill()
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)  # it is dead now, and still has its number
        assert has_ended(name)
    assert has_ended(name)


def test_a_number_that_another_process_has_got_is_not_the_same_process() -> None:
    own = this_process()
    assert not has_ended(own)
    machine, _, started = own.rpartition("/")
    number, _, start = started.partition(":")
    assert has_ended(f"{machine}/{number}:{float(start) - 1:.2f}")


@pytest.mark.parametrize("name", [None, "", "elsewhere/pid:[1]/4:5"])
def test_of_processes_of_other_machines_nothing_is_known(name: str | None) -> None:
    assert not has_ended(name)
