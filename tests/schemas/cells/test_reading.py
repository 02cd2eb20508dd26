"""An error of a reader keeps nothing that others wait for."""

import threading
from pathlib import Path

import h5py
import pytest

from cellmark.schemas.cells.reading import reading
from cellmark.schemas.errors import ReadError


@pytest.mark.parametrize("kind", [ValueError, ReadError])
def test_an_error_that_is_kept_holds_no_lock_of_h5py(kind: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "cells.h5"
    with h5py.File(path, "w") as file:
        file["a"], file["b"] = 1, 2

    def fail(_element: object) -> None:
        if kind is ReadError:
            raise ReadError.of("FILE_UNREADABLE", where="x", expected="x", found="x", remedy="x")
        raise kind

    with h5py.File(path) as file, pytest.raises(ReadError) as kept, reading(path, "an HDF5 file"):
        _ = {name: fail(element) for name, element in file.items()}
    opens = threading.Thread(target=lambda: h5py.File(path).close(), daemon=True)
    opens.start()
    opens.join(10)
    assert not opens.is_alive()
    assert kept.value.code == "FILE_UNREADABLE"
