"""Bodies on disk that no kill can leave behind: files without a name, which the system frees with their last owner.

A reader needs a path, whose extension says what the file is. It gets a link of that name to the open file of this
process (`/proc/PID/fd/N`), so that nothing of a body ever has a name of its own.
"""

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

from .refusals import disk_full

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class BodyFolder:
    """A folder for the links to one request's files. `path` is gone, and the files with it, after `body_folder`."""

    def __init__(self, path: Path, closing: ExitStack) -> None:
        self.path = path
        self._closing = closing

    def create(self, name: str) -> IO[bytes]:
        """A new file to write to, which `path / name` leads to. It is closed with the folder: flush it before."""
        if not _has_links():
            return self._closing.enter_context((self.path / name).open("wb"))
        file: IO[bytes] = self._closing.enter_context(tempfile.TemporaryFile(dir=self.path))  # noqa: SIM115
        self._link(file.fileno(), name)
        return file

    def adopt(self, file: "tempfile.SpooledTemporaryFile[Any]", name: str) -> None:
        """Let `path / name` lead to a temporary file, which its owner may then close."""
        if not _has_links():
            with (self.path / name).open("wb") as copy:
                file.seek(0)
                while block := file.read(1024**2):
                    copy.write(block)
            return
        file.rollover()
        file.flush()
        descriptor = os.dup(file.fileno())
        self._closing.callback(os.close, descriptor)
        self._link(descriptor, name)

    def _link(self, descriptor: int, name: str) -> None:
        at = f"/proc/{os.getpid()}/fd/{descriptor}"
        # libhdf5 asks for the real path of every link that it opens, and gives up where none exists. The system calls
        # this one `.../#123 (deleted)`; an empty file of that name satisfies it, and is never opened.
        real = Path(os.readlink(at))
        real.touch(mode=0o600)
        self._closing.callback(real.unlink, missing_ok=True)
        (self.path / name).symlink_to(at)


@contextmanager
def body_folder() -> Iterator[BodyFolder]:
    """The files of one body, until the end of the block. Raises `SetupError` (`DISK_FULL`) instead of the `OSError` of
    a disk without room.
    """
    with full_disk_refused(), ExitStack() as closing:
        path = Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="cellmark-", ignore_cleanup_errors=True)))
        yield BodyFolder(path, closing)


@contextmanager
def full_disk_refused() -> Iterator[None]:
    """Turn the `OSError` of a disk without room into `DISK_FULL`."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise disk_full() from error
        raise


def _has_links() -> bool:
    return os.path.isdir("/proc/self/fd")
