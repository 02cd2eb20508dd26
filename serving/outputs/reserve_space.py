"""Room for an output before it is written: libhdf5 can crash the process when the disk fills under it."""

import errno
import os
from pathlib import Path

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
