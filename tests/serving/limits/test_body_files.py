"""Bodies on disk have no name that a kill could leave behind, and a full disk is said to be one."""

import errno
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.errors import SetupError
from cellmark.serving.limits.body_files import body_folder

WRITER = """
import os, signal, sys, tempfile
from cellmark.serving.limits.body_files import body_folder
tempfile.tempdir = sys.argv[1]
with body_folder() as folder:
    file = folder.create("body.h5ad")
    file.write(b"expression" * 1000)
    file.flush()
    spooled = tempfile.SpooledTemporaryFile()
    spooled.write(b"expression" * 1000)
    folder.adopt(spooled, "upload.h5ad")
    spooled.close()
    assert all((folder.path / name).stat().st_size == 10000 for name in ("body.h5ad", "upload.h5ad"))
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def bytes_in(folder: Path) -> int:
    """The size of all files in a folder that have a name."""
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def test_other_processes_read_by_name_what_has_none(temporary: Path) -> None:
    with body_folder() as folder:
        file = folder.create("body.npz")
        file.write(b"x" * 5000)
        file.flush()
        upload = tempfile.SpooledTemporaryFile(max_size=1000)  # noqa: SIM115
        upload.write(b"abc")
        folder.adopt(upload, "upload.h5ad")
        upload.close()
        assert bytes_in(temporary) == 0
        seen = subprocess.run(["cat", folder.path / "body.npz", folder.path / "upload.h5ad"], capture_output=True)
        assert seen.stdout == b"x" * 5000 + b"abc"
        renamed = (folder.path / "upload.h5ad").rename(folder.path / "other.h5")
        assert renamed.read_bytes() == b"abc"
    assert list(temporary.iterdir()) == []


def test_nothing_of_a_body_is_left_by_a_kill(temporary: Path) -> None:
    done = subprocess.run([sys.executable, "-c", WRITER, temporary], timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert bytes_in(temporary) == 0


def test_open_files_are_closed_with_the_folder() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        with body_folder() as folder:
            folder.create("body")
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_to_be_one(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    with pytest.raises(SetupError) as raised, body_folder() as folder:
        folder.create("body")
    assert (raised.value.code, raised.value.status) == ("DISK_FULL", 507)


def test_other_faults_of_a_disk_stay_what_they_are() -> None:
    with pytest.raises(PermissionError), body_folder():
        raise PermissionError(errno.EACCES, "no")
