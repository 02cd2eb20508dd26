"""A study in a file: gone on with after a kill, shared by processes, and of one thing only."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import optuna
import pandas as pd
import pytest

from cellmark.schemas.errors import ParameterError, SetupError
from cellmark.training.network.fit import fit
from cellmark.training.tuning import study_storage
from cellmark.training.tuning import tune as tune_module
from cellmark.training.tuning.study_storage import storage_url
from cellmark.training.tuning.tune_settings import SearchSpace
from fixtures import search_in_a_process
from fixtures.places import FIXTURES

SCRIPT = FIXTURES / "search_in_a_process.py"
PROGRAM = vars(search_in_a_process)
search, together, Heard = PROGRAM["search"], PROGRAM["together"], PROGRAM["Heard"]
VALUES = ["state", "value", "validation_loss", "best_epoch", "n_epochs", "hidden_units", "dropout", "learning_rate"]


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def kill_within(study: object, *, n_trials: int, fit_number: int) -> None:
    """Run a search in another process and kill it (SIGKILL) within one of its fits."""
    with start(study, n_trials, fit_number) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "holding":
                process.kill()
        assert process.wait() == -signal.SIGKILL


def ended(trials: pd.DataFrame) -> pd.DataFrame:
    """What the trials that count came to."""
    return trials.loc[trials["state"].isin(["complete", "pruned"]), VALUES].reset_index(drop=True)


@pytest.fixture(scope="module")
def uninterrupted() -> pd.DataFrame:
    return search(n_trials=12).trials


@pytest.mark.parametrize("fit_number", [1, 8])
def test_a_search_that_was_killed_goes_on_and_comes_to_the_same(
    fit_number: int, tmp_path: Path, uninterrupted: pd.DataFrame
) -> None:
    study = tmp_path / "study.db"
    kill_within(study, n_trials=12, fit_number=fit_number)
    heard = Heard()
    resumed = search(study=str(study), n_trials=12, heard=heard)
    killed, again = resumed.trials.iloc[fit_number - 1], resumed.trials.iloc[fit_number]
    assert killed["state"] == "failed"
    assert again["repeated"] == killed["number"]
    assert again["learning_rate"] == killed["learning_rate"]
    assert [trial.number for trial in heard.trials] == list(range(fit_number, 13)), "what was done is not done again"
    pd.testing.assert_frame_equal(ended(resumed.trials), ended(uninterrupted))


def test_a_trial_of_another_machine_that_gives_no_sign_is_run_again(
    tmp_path: Path, uninterrupted: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = tmp_path / "study.db"
    kill_within(study, n_trials=12, fit_number=11)
    monkeypatch.setattr(study_storage, "HEARTBEAT_SECONDS", 1)
    monkeypatch.setattr(study_storage, "GRACE_SECONDS", 3)
    storage = optuna.storages.RDBStorage(storage_url(str(study)))
    (summary,) = optuna.get_all_study_summaries(storage)
    running = optuna.load_study(study_name=summary.study_name, storage=storage).trials[-1]
    storage.set_trial_user_attr(running._trial_id, "process", "elsewhere/pid:[1]/7:8")
    heard = Heard()
    resumed = search(study=str(study), n_trials=12, heard=heard)
    assert heard.trials[0].number == running.number + 1, "there is work to do before it is known to be lost"
    assert resumed.trials["state"].tolist().count("failed") == 1
    assert len(ended(resumed.trials)) == 12
    again = resumed.trials.loc[resumed.trials["repeated"] == running.number, "learning_rate"]
    assert again.tolist() == [resumed.trials.loc[running.number, "learning_rate"]]


def test_a_finished_study_is_read_and_a_larger_one_is_continued(tmp_path: Path, uninterrupted: pd.DataFrame) -> None:
    study = str(tmp_path / "study.db")
    first = search(study=study, n_trials=6)
    heard = Heard()
    again = search(study=study, n_trials=6, heard=heard)
    assert not heard.trials
    assert again.settings == first.settings
    assert again.study_name == first.study_name
    more = search(study=study, n_trials=12, heard=heard)
    assert len(heard.trials) == 6
    pd.testing.assert_frame_equal(ended(more.trials), ended(uninterrupted))


def test_what_ran_out_of_time_is_run_again(
    tmp_path: Path, uninterrupted: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never_ends(*arguments: Any, on_epoch: Any, **named: Any) -> Any:
        def hear(epoch: Any) -> None:
            time.sleep(3.1)
            on_epoch(epoch)

        return fit(*arguments, on_epoch=hear, **named)

    study = str(tmp_path / "study.db")
    search(study=study, n_trials=7)
    with monkeypatch.context() as patched:
        patched.setattr(tune_module, "fit", never_ends)
        cut = search(study=study, n_trials=12, time_budget=3.0)
    assert cut.trials["reason"].tolist() == [None] * 7 + ["time budget"]
    whole = search(study=study, n_trials=12)
    pd.testing.assert_frame_equal(ended(whole.trials), ended(uninterrupted))


def test_processes_share_the_trials_and_agree_on_the_best(tmp_path: Path) -> None:
    study = tmp_path / "study.db"
    numbers = together(str(study), 14)
    tuned = search(study=str(study), n_trials=14)
    assert len(ended(tuned.trials)) == 14, "no more and no fewer than wanted"
    told = sorted(number for of_process in numbers for number in of_process)
    counted = tuned.trials["state"].isin(["complete", "pruned"])
    assert told == tuned.trials.loc[counted, "number"].tolist(), "each trial ran in one process"
    assert sum(len(of_process) > 0 for of_process in numbers) > 1
    given = tuned.trials.loc[counted, "learning_rate"] == PROGRAM["BASE"].learning_rate
    assert given.sum() == 1, "the settings given are tried once"


def test_other_data_or_another_space_are_another_study_of_the_same_file(tmp_path: Path) -> None:
    study = str(tmp_path / "study.db")
    names = {
        search(study=study, n_trials=1, **other).study_name
        for other in ({}, {"lift": 0.7}, {"space": SearchSpace(units=(5, 9))}, {"seed": 2}, {"metric": "macro_f1"})
    }
    assert len(names) == 5
    assert {name.rpartition("-")[0] for name in names} == {"cellmark"}


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"lift": 0.7}, "data"), ({"space": SearchSpace(units=(5, 9))}, "space"), ({"seed": 2}, "seed"),
        ({"metric": "macro_f1", "max_epochs": 9}, "rules"),
    ],
)  # fmt: skip
def test_a_named_study_of_something_else_is_refused(tmp_path: Path, other: dict[str, Any], named: str) -> None:
    study = {"study": str(tmp_path / "study.db"), "study_name": "mine", "n_trials": 1}
    search(**study)
    with pytest.raises(ParameterError) as caught:
        search(**study, **other)
    assert caught.value.code == "STUDY_MISMATCH"
    assert named in caught.value.findings[0].expected
    assert len(search(**study).trials) == 1


def test_a_study_of_another_program_is_refused(tmp_path: Path) -> None:
    url = storage_url(str(tmp_path / "study.db"))
    optuna.create_study(storage=url, study_name="theirs").ask()
    with pytest.raises(ParameterError, match="STUDY_MISMATCH"):
        search(study=url, study_name="theirs", n_trials=1)


@pytest.mark.parametrize(
    ("study", "code"),
    [
        ("{tmp}/nowhere/study.db", "STUDY_UNREACHABLE"),
        ("{tmp}/text.db", "STUDY_UNREACHABLE"),
        ("{tmp}", "STUDY_UNREACHABLE"),
        ("postgresql://me:secret@127.0.0.1:9/studies", "STUDY_UNREACHABLE"),
        ("nonsense://me:secret@host/x", "STUDY_UNREACHABLE"),
        ("mysql+nonsense://me:secret@host/x", "STUDY_UNREACHABLE"),
    ],
)
def test_a_storage_that_cannot_be_used_is_told_without_its_password(tmp_path: Path, study: str, code: str) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    with pytest.raises(SetupError) as caught:
        search(study=study.format(tmp=tmp_path), n_trials=1)
    assert caught.value.code == code
    assert "secret" not in str(caught.value)


def test_a_path_is_a_sqlite_file_and_a_url_stays() -> None:
    assert storage_url("/data/my study.db") == "sqlite:////data/my study.db"
    assert storage_url("study.db") == f"sqlite:///{Path.cwd() / 'study.db'}"
    assert storage_url("mysql+pymysql://host/studies") == "mysql+pymysql://host/studies"
    assert storage_url("postgresql+psycopg2://host/studies") == "postgresql+psycopg2://host/studies"
