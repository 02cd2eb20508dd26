"""A study in PostgreSQL, as several machines share one: a server of the test's own, which ends with it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest

from fixtures import search_in_a_process
from fixtures.places import FIXTURES

pytestmark = pytest.mark.postgres
SCRIPT = FIXTURES / "search_in_a_process.py"
PROGRAM = vars(search_in_a_process)
search, Heard = PROGRAM["search"], PROGRAM["Heard"]
VALUES = ["state", "value", "hidden_units", "learning_rate"]


def program(name: str) -> str | None:
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((str(folder / name) for folder in folders if (folder / name).exists()), shutil.which(name))


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty database."""
    initdb, postgres = program("initdb"), program("postgres")
    if not initdb or not postgres:
        pytest.skip("PostgreSQL's initdb and postgres are not on this machine")
    if not find_spec("psycopg"):
        pytest.skip("psycopg is not installed (extra postgres)")
    as_other: list[str] = []
    folder = tmp_path_factory.mktemp("postgresql")
    if os.getuid() == 0:  # the server refuses to run as root
        if (
            not shutil.which("runuser")
            or subprocess.run(["id", "postgres"], capture_output=True, check=False).returncode
        ):
            pytest.skip("PostgreSQL does not run as root, and there is no user postgres to run as")
        as_other = ["runuser", "-u", "postgres", "--"]
        folder = Path("/tmp") / f"cellmark-postgresql-{os.getpid()}"
        folder.mkdir(mode=0o755)
        shutil.chown(folder, "postgres", "postgres")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = folder / "data"
    subprocess.run(
        [*as_other, initdb, "-D", str(data), "-A", "trust", "-U", "cellmark", "--no-sync"], cwd=folder, check=True,
        capture_output=True,
    )  # fmt: skip
    running = subprocess.Popen(
        [*as_other, "timeout", "240", postgres, "-D", str(data), "-p", str(port), "-k", str(folder), "-F",
         "-c", "listen_addresses=127.0.0.1"],
        cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert running.stderr is not None
        for line in running.stderr:
            if "ready to accept connections" in line:
                break
        yield f"postgresql://cellmark@127.0.0.1:{port}/postgres"
    finally:
        number = int((data / "postmaster.pid").read_text().splitlines()[0])
        os.kill(number, signal.SIGINT)
        running.communicate(timeout=60)
        shutil.rmtree(folder, ignore_errors=True)


def start(*arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *map(str, arguments)], stdin=subprocess.PIPE,
        stdout=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def ended(trials: pd.DataFrame) -> pd.DataFrame:
    return trials.loc[trials["state"].isin(["complete", "pruned"]), VALUES].reset_index(drop=True)


def test_processes_share_a_study_from_an_empty_database_on(server: str) -> None:
    processes = [start(server, 12, "wait") for _ in range(3)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    told: list[int] = []
    for process in processes:
        out, _ = process.communicate(timeout=300)
        assert process.returncode == 0
        told += [int(line.split()[1]) for line in out.splitlines()]
    tuned = search(study=server, n_trials=12)
    counted = tuned.trials["state"].isin(["complete", "pruned"])
    assert sorted(told) == tuned.trials.loc[counted, "number"].tolist()
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
