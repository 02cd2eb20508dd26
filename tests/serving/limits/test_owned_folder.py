"""The folder of a server: removed in the end, by the next server after a kill, and never while anybody lives there."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cellmark.serving.limits.owned_folder import FOLDER, LOCK, PREFIX, owned_folder, remove_abandoned

OWNER = """
import sys, time
from cellmark.serving.limits.owned_folder import owned_folder
with owned_folder() as folder:
    (folder / "expression").write_text("1 2 3")
    print(folder, flush=True)
    time.sleep(100)
"""
GUEST = """
import time
from cellmark.serving.limits.owned_folder import share_folder_of_server
print(share_folder_of_server(), flush=True)
time.sleep(100)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def started(program: str, **environment: str) -> "tuple[subprocess.Popen[str], str]":
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def kill(process: "subprocess.Popen[str]") -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert process.stdout is not None
    process.stdout.close()


def test_the_folder_is_private_and_removed_in_the_end(temporary: Path) -> None:
    with owned_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        assert remove_abandoned(temporary) == []
    assert list(temporary.iterdir()) == []


def test_what_a_killed_server_left_is_removed_by_the_next_one(temporary: Path) -> None:
    owner, name = started(OWNER)
    assert remove_abandoned(temporary) == []
    kill(owner)
    assert (Path(name) / "expression").exists()
    with owned_folder() as folder:
        assert list(temporary.iterdir()) == [folder]


def test_a_folder_in_which_a_worker_still_lives_is_left_alone(temporary: Path) -> None:
    owner, name = started(OWNER)
    guest, descriptor = started(GUEST, **{FOLDER: name})
    assert descriptor.isdigit()
    kill(owner)
    assert remove_abandoned(temporary) == []
    assert (Path(name) / "expression").exists()
    kill(guest)
    assert remove_abandoned(temporary) == [Path(name)]


def test_names_and_ages_prove_nothing(temporary: Path) -> None:
    unlocked = temporary / f"{PREFIX}without-a-lock"
    unlocked.mkdir()
    os.utime(unlocked, (0, 0))
    elsewhere = temporary / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / LOCK).touch()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    assert remove_abandoned(temporary) == []
    assert unlocked.exists()
    assert elsewhere.exists()
