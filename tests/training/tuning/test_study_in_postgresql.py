"""A study in PostgreSQL, as several machines share one: a server of the test's own, which ends with it."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pandas as pd
import pytest

from fixtures import search_in_a_process
from fixtures.places import FIXTURES
from fixtures.postgresql_server import postgresql_server

pytestmark = pytest.mark.postgres
SCRIPT = FIXTURES / "search_in_a_process.py"
PROGRAM = vars(search_in_a_process)
search, together, Heard = PROGRAM["search"], PROGRAM["together"], PROGRAM["Heard"]
VALUES = ["state", "value", "hidden_units", "learning_rate"]


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database."""
    with postgresql_server(tmp_path_factory.mktemp("postgresql")) as url:
        yield url


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def ended(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.loc[trials["state"].isin(["complete", "pruned"]), VALUES].reset_index(drop=True)


def test_processes_share_a_study_from_an_empty_database_on(server: str) -> None:
    told = sorted(number for of_process in together(server, 12) for number in of_process)
    tuned = search(study=server, n_trials=12)
    counted = tuned.trials["state"].isin(["complete", "pruned"])
    assert told == tuned.trials.loc[counted, "number"].tolist()
    assert len(told) == 12


def test_a_killed_search_goes_on_and_comes_to_the_same_as_in_memory(server: str) -> None:
    with start(server, 10, 7) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == "holding":
                process.kill()
        assert process.wait() == -signal.SIGKILL
    resumed = search(study=server, n_trials=10)
    assert resumed.trials["state"].tolist().count("failed") == 1
    pd.testing.assert_frame_equal(ended(resumed.trials), ended(search(n_trials=10).trials))
