"""An error of a reader keeps nothing that others wait for."""

import subprocess
import sys
from pathlib import Path

import pytest

KEPT = """
import sys, threading
import h5py
from cellmark.schemas.cells.reading import reading
from cellmark.schemas.errors import ReadError

path, kind = sys.argv[1:]
with h5py.File(path, "w") as file:
    file["a"], file["b"] = 1, 2

def fail(_element):
    if kind == "ours":
        raise ReadError.of("FILE_UNREADABLE", where="x", expected="x", found="x", remedy="x")
    raise ValueError

try:
    with h5py.File(path) as file, reading(path, "an HDF5 file"):
        {name: fail(element) for name, element in file.items()}
except ReadError as error:
    kept = error
opens = threading.Thread(target=lambda: h5py.File(path).close(), daemon=True)
opens.start()
opens.join(20)
print("waits" if opens.is_alive() else kept.code, flush=True)
"""


@pytest.mark.parametrize("kind", ["ours", "of a library"])
def test_an_error_that_is_kept_holds_no_lock_of_h5py(kind: str, tmp_path: Path) -> None:
    """In a process of its own: what other tests keep may hold the lock in this one."""
    command = [sys.executable, "-c", KEPT, str(tmp_path / "cells.h5"), kind]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert ran.stdout.strip() == "FILE_UNREADABLE", ran.stderr
