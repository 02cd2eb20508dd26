"""Does all that a folder of cells holds lie inside it, as plain files? Asked before anything in it is read."""

import os
import stat
from pathlib import Path

from ..errors import ReadError

MOST_FILES = 5_000_000
MOST_LEVELS = 64


def refuse_links_out(folder: Path) -> int:
    """The bytes of the files in `folder`. Raises `ReadError` for links that lead out of it, for pipes and devices, and
    for more files or levels than any store of cells has.
    """
    n_bytes, n_files = 0, 0
    root = os.path.realpath(folder)
    waiting = [(root, 0)]
    while waiting:
        at, level = waiting.pop()
        with os.scandir(at) as entries:
            for entry in entries:
                n_files += 1
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISLNK(status.st_mode):
                    if not os.path.realpath(entry.path).startswith(root + os.sep):
                        raise _unsafe(folder, "a link to a place outside", entry.path)
                elif stat.S_ISDIR(status.st_mode):
                    waiting.append((entry.path, level + 1))
                elif stat.S_ISREG(status.st_mode):
                    n_bytes += status.st_size
                else:
                    raise _unsafe(folder, "a pipe, a socket or a device", entry.path)
        if n_files > MOST_FILES or level > MOST_LEVELS:
            raise _unsafe(folder, f"more than {MOST_FILES:,} files or {MOST_LEVELS} levels", at)
    return n_bytes


def _unsafe(folder: Path, found: str, path: str) -> ReadError:
    inside = os.path.relpath(path, os.path.realpath(folder))[:200]
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(folder),
        expected="plain files inside the folder",
        found=found,
        remedy="Copy what it points to into the folder. On the command line --trusted reads your own data as it is.",
        examples=(inside,),
    )
