"""The files of a worker's counts, whose room on disk is theirs from the start.

Prometheus' library maps files of holes into memory. Where the disk is full when a hole is first written, the system
ends the process (SIGBUS) with all the requests in it. Here files have their blocks before they are mapped, and a count
that finds no room stays in memory: the page then lacks it until the service starts again, but no request fails for it.
"""

import mmap
import os
from contextlib import suppress

from prometheus_client import mmap_dict, values

from .multiprocess import FOLDER

ROOM = 1024**2
"""Bytes of each of a worker's files, for some thousands of counts."""
KINDS = ("counter", "histogram", "gauge_all", "gauge_livesum", "gauge_livemax")
"""Files that a worker has, by the kind of count: ours and BentoML's."""


class CountsWithRoom(mmap_dict.MmapedDict):
    """A file of counts that never ends its process."""

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        try:
            if not read_mode:
                allocate(filename, ROOM)
        except OSError:
            filename = os.devnull
            self._f = open(filename, "rb")  # noqa: SIM115 (as in the library, until `close`)
            self._fname, self._positions, self._used, self._capacity = filename, {}, 8, ROOM
            self._m = mmap.mmap(-1, ROOM)
            return
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        # A value is its key, and less than 64 bytes.
        while self._used + len(key.encode()) + 64 > self._capacity:
            self._grow()
        super()._init_value(key)  # type: ignore[no-untyped-call]

    def _grow(self) -> None:
        size = 2 * self._capacity
        try:
            if self._fname == os.devnull:
                raise OSError
            allocate(self._fname, size)
            grown = mmap.mmap(self._f.fileno(), size)
        except OSError:
            self._fname = os.devnull
            grown = mmap.mmap(-1, size)
            grown[: self._used] = self._m[: self._used]
        self._m, self._capacity = grown, size


def keep_room_for_counts() -> None:
    """Give this process its files of counts, with their blocks, and those that it has already. To be called before the
    first count.
    """
    if not (folder := os.environ.get(FOLDER)) or not os.path.isdir(folder):
        return
    values.MmapedDict = CountsWithRoom  # type: ignore[attr-defined]
    with suppress(OSError):  # of a full disk
        for kind in KINDS:
            allocate(os.path.join(folder, f"{kind}_{os.getpid()}.db"), ROOM)


def allocate(filename: str, n_bytes: int) -> None:
    """Give a file at least so many bytes, and blocks for all of them. Raises `OSError`."""
    with open(filename, "ab") as file:
        descriptor = file.fileno()
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(descriptor, 0, max(n_bytes, os.fstat(descriptor).st_size))
        elif os.fstat(descriptor).st_size < n_bytes:
            os.ftruncate(descriptor, n_bytes)
