"""Groups that lie within themselves, by whatever links, are told from those that only have two names."""

from collections.abc import Callable
from pathlib import Path

import h5py
import pytest

from cellmark.schemas.cells.check_hdf5 import check_hdf5


def within_itself(file: h5py.File) -> None:
    file.create_group("obs/more")
    file["obs/more/again"] = file["obs"]


def holds_its_root(file: h5py.File) -> None:
    file.create_group("obs")
    file["obs/root"] = file["/"]


def within_each_other(file: h5py.File) -> None:
    for group, other in (("obs", "var"), ("var", "obs")):
        file.create_group(group)["other"] = h5py.SoftLink(f"/{other}")


def two_names(file: h5py.File) -> None:
    file.create_group("layers/counts")
    file["raw"] = file["layers/counts"]
    file["X"] = h5py.SoftLink("/layers/counts")
    file["layers/lost"] = h5py.SoftLink("/nowhere")


def written(path: Path, make: Callable[[h5py.File], None]) -> h5py.File:
    with h5py.File(path, "w") as file:
        make(file)
    return h5py.File(path, "r")


@pytest.mark.parametrize("make", [within_itself, holds_its_root, within_each_other])
def test_a_group_within_itself_is_refused(tmp_path: Path, make: Callable[[h5py.File], None]) -> None:
    with written(tmp_path / "cells.h5", make) as file, pytest.raises(ValueError, match="within itself"):
        check_hdf5(file, tmp_path / "cells.h5")


def test_two_names_of_a_group_are_none(tmp_path: Path) -> None:
    with written(tmp_path / "cells.h5", two_names) as file:
        check_hdf5(file, tmp_path / "cells.h5")
