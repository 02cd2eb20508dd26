"""Outputs that appear whole or not at all: written beside their place, then moved into it."""

import ctypes
import errno
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from .errors import OutputError
from .near_names import near_names

AT_FDCWD, RENAME_EXCHANGE = -100, 2
"""Numbers that Linux gives `renameat2`: paths begin at the working folder; two paths change places."""


def refuse_existing(path: Path, *, force: bool | None) -> None:
    """Raise `OutputError`: `OUTPUT_EXISTS` when `path` is there and `force` is not given (a link that leads nowhere is
    there as well), `OUTPUT_UNWRITABLE` when nothing can ever be there, as with a name that is too long. `force`: None
    where the caller has no such option.
    """
    try:
        os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise unwritable(path, error) from error
    if not force:
        raise OutputError.of(
            "OUTPUT_EXISTS",
            where=str(path),
            expected="a new output",
            found=_of_when(path),
            remedy="Name another output, or remove this one."
            if force is None
            else "Name another output, or replace this one with --force.",
        )


def _of_when(path: Path) -> str:
    """What is there already."""
    status = path.lstat()
    kind = "a folder" if stat.S_ISDIR(status.st_mode) else f"a file of {status.st_size:,} bytes"
    return f"{kind}, written {datetime.fromtimestamp(status.st_mtime):%Y-%m-%d %H:%M}"


def _elsewhere(path: Path, error: OSError) -> str:
    """What helps against the refusal of the operating system."""
    folder = next((one for one in path.absolute().parents if one.is_dir()), path.parent)
    quoted = shlex.quote(str(folder))
    if error.errno in (errno.EACCES, errno.EPERM):
        return f"Name an output elsewhere, or give yourself the right to write there: chmod u+wx {quoted}"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"Make room, or name an output on another disk. How much there is: df -h {quoted}"
    if error.errno == errno.EROFS:
        return f"Name an output in another folder, such as {shlex.quote(f'~/{path.name}')}."
    return "Name an output in another folder, or give it a shorter name."


def output_name(path: Path, formats: Sequence[str]) -> str:
    """The name that was meant by one whose extension is none of `formats`."""
    near = near_names(path.suffix, formats) if path.suffix else ()
    return f"Did you mean {shlex.quote(str(path.with_suffix((*near, formats[0])[0])))}?"


def free_name(name: str) -> str:
    """`name`, or with a number where a file of that name, or its facts, lie in the working folder."""
    path, number = Path(name), 1
    while path.exists() or path.with_suffix(".json").exists():
        number += 1
        path = Path(f"{Path(name).stem}-{number}{Path(name).suffix}")
    return str(path)


@contextmanager
def whole_file(path: Path, *, force: bool | None = None, drafts: Path | None = None) -> Iterator[Path]:
    """A temporary path with the same suffix, beside `path`, that is moved there when the block ends well. `drafts`: a
    folder of the same file system for it, where what a killed process leaves is found.

    Raises `OutputError` when `path` exists (and `force` is not given) or cannot be written.
    """
    refuse_existing(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:32]}-", suffix=path.suffix, dir=drafts or path.parent)
        os.close(handle)
    except OSError as error:
        raise unwritable(path, error) from error
    draft = Path(name)
    try:
        yield draft
        # mkstemp lets only its owner read; an output takes what the user's umask allows.
        umask = os.umask(0)
        os.umask(umask)
        draft.chmod(0o666 & ~umask)
        draft.replace(path)
    except OSError as error:
        raise unwritable(path, error) from error
    finally:
        draft.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: Path, *, force: bool | None = None, drafts: Path | None = None) -> Iterator[Path]:
    """An empty folder beside `path` that takes its place when the block ends well, and vanishes when it does not.
    `drafts`: as of `whole_file`. What is there already stays whole until the moment of the change.

    Raises `OutputError` when `path` exists (and `force` is not given) or cannot be written.
    """
    refuse_existing(path, force=force)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{path.stem[:32]}-", dir=drafts or path.parent) as scratch:
            draft = Path(scratch) / "draft"
            draft.mkdir()
            yield draft
            if not os.path.lexists(path):
                draft.rename(path)
            elif not _exchange(draft, path):
                path.rename(Path(scratch) / "replaced")
                draft.rename(path)
    except OSError as error:
        raise unwritable(path, error) from error


def _exchange(one: Path, other: Path) -> bool:
    """Have two paths change places at once, where the system can."""
    rename = getattr(ctypes.CDLL(None), "renameat2", None) if sys.platform == "linux" else None
    if rename is None:
        return False
    return bool(rename(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0)


def unwritable(path: Path, error: OSError) -> OutputError:
    """What the operating system refused, as ours."""
    return OutputError.of(
        "OUTPUT_UNWRITABLE",
        where=str(path),
        expected="a place that can be written",
        found=error.strerror or str(error),
        remedy=_elsewhere(path, error),
    )
