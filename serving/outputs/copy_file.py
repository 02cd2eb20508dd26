"""Outputs that are copies of the input's file: made inside the kernel, with room reserved first.

libhdf5 can crash the process when the disk fills under it. A file that another process holds open is written there.
"""

import errno
import os
import shutil
from abc import abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource

STEP = 1 << 30


def copy_file(source: Path, target: Path) -> None:
    """Copy the bytes of `source` over `target`. On Linux without a detour through memory, several times as fast."""
    if not hasattr(os, "copy_file_range"):
        shutil.copyfile(source, target)
        return
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            while os.copy_file_range(reader.fileno(), writer.fileno(), STEP):
                pass
        except OSError:
            # Some file systems refuse it (EXDEV, ENOSYS, EINVAL); a plain copy then says what is really wrong.
            shutil.copyfile(source, target)


UNSUPPORTED = (errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL)
SLACK = 1 << 20
"""Bytes beyond what was asked for, for what a file format adds of its own."""


def reserve_space(path: Path, n_bytes: int) -> None:
    """Give the existing file at `path` room for `n_bytes` more behind its content, as zeros.

    HDF5 goes by the end that its own header names and cuts the file there when it is closed. Raises `OSError` when the
    disk, a quota or a limit does not allow for them. Does nothing where the system or
    its file system has no such call.
    """
    if not hasattr(os, "posix_fallocate"):
        return
    with path.open("r+b") as handle:
        try:
            os.posix_fallocate(handle.fileno(), path.stat().st_size, n_bytes + SLACK)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise


class RemoteCells(CellSource):
    """Cells of another process, which also writes outputs: this one never opens an untrusted file."""

    @abstractmethod
    def own_maps(self) -> dict[str, np.ndarray]:
        """Maps that the file brings, by name: float32, cells x 2."""

    @abstractmethod
    def write_into(self, draft: Path, frame: pd.DataFrame, uns: dict[str, Any], *, prefix: str | None = None) -> None:
        """Write calls into `draft`: an empty file to be an `.h5ad`, or an empty folder to be a `.zarr`. `prefix`: see
        `column_name`.
        """

    @abstractmethod
    def write_markers(self, draft: Path, table: pd.DataFrame, *, groupby: str, key: str) -> tuple[int, int]:
        """Write markers into `draft`, to be a copy of the file: see `write_markers.put_markers`."""
