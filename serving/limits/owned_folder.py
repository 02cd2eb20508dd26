"""The temporary folder of one server, which says by a lock whether its owner lives; what dead ones left is removed.

Every process of a server holds a shared lock (`flock`) on a file in the folder, which the system takes back however
the process ends. So a folder whose lock can be had by itself has no owner any more, whatever its age and name.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "cellmark-server-"
LOCK = "lock"
FOLDER = "CELLMARK_SERVER_FOLDER"
"""Variable that names the folder to the workers."""


@contextmanager
def owned_folder() -> Iterator[Path]:
    """A folder below `TMPDIR`, which only its owner may enter; it is removed in the end. Folders that servers left
    there when they were killed are removed before.
    """
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        # The lock is held before it has its name: without it nobody takes the folder for an abandoned one.
        unnamed = folder / f"{LOCK}.new"
        descriptor = os.open(unnamed, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            unnamed.rename(folder / LOCK)
            yield folder
        finally:
            os.close(descriptor)


def share_folder_of_server() -> int | None:
    """Hold the lock of the server's folder too, until this process ends: the descriptor that does it. None without
    such a folder.
    """
    try:
        descriptor = os.open(Path(os.environ[FOLDER]) / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except (KeyError, OSError):
        return None
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove_abandoned(within: Path) -> list[Path]:
    """Remove the folders of servers whose processes are all gone; a folder without a lock is left alone."""
    removed = []
    for folder in within.glob(f"{PREFIX}*"):
        if folder.is_symlink() or not _is_ours(folder):
            continue
        try:
            descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:  # somebody lives there
            continue
        else:
            shutil.rmtree(folder, ignore_errors=True)
            removed.append(folder)
        finally:
            os.close(descriptor)
    return removed


def _is_ours(folder: Path) -> bool:
    try:
        return folder.stat(follow_symlinks=False).st_uid == os.geteuid()
    except OSError:
        return False
