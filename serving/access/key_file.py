"""The file of keys: read whole, replaced whole, with mode 600, by one writer at a time."""

import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from cellmark.schemas.atomic_output import unwritable
from cellmark.schemas.errors import ParameterError, SetupError

from .api_key import KeyRecord
from .key_lines import LineError, parse_lines, write_lines

LARGEST_FILE = 16 * 1024**2
OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


def read_key_file(path: Path) -> tuple[KeyRecord, ...]:
    """The keys of a file. Raises `SetupError` (`KEY_FILE_INVALID`), also for a file that others may write to."""
    try:
        with path.open("rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                raise _invalid(path, "no file", "Name a file.")
            if facts.st_mode & OTHERS_MAY_WRITE:
                raise _invalid(path, "one that others may write to", f"chmod 600 {path}")
            content = file.read(LARGEST_FILE + 1)
    except FileNotFoundError:
        raise _invalid(path, "no such file", f"Make one: cellmark keys create --key-file {path}") from None
    except OSError as error:
        raise _invalid(path, error.strerror or str(error), "Let the service's user read the file.") from None
    if len(content) > LARGEST_FILE:
        raise _invalid(path, f"more than {LARGEST_FILE:,} bytes", "Name the file of keys.")
    try:
        return parse_lines(content.decode("utf-8"))
    except LineError as error:
        raise _invalid(path, error.found, "Restore the file, or remove the line.") from None
    except UnicodeDecodeError:
        raise _invalid(path, "bytes that are not UTF-8", "Name the file of keys.") from None


def add_key(path: Path, record: KeyRecord) -> None:
    """Write one more key; the file is made where there is none. Raises `SetupError` and `OutputError`."""
    _change(path, lambda records: (*records, record), create=True)


def revoke_key(path: Path, key_id: str, now: datetime) -> KeyRecord:
    """Revoke a key, which stays in the file, and give its record. Raises `ParameterError` (`KEY_UNKNOWN`)."""

    def revoked(records: tuple[KeyRecord, ...]) -> tuple[KeyRecord, ...]:
        if key_id not in {record.key_id for record in records}:
            raise ParameterError.of(
                "KEY_UNKNOWN",
                where="id",
                expected=f"the id of a key in {path}",
                found=repr(key_id),
                remedy=f"See the ids: cellmark keys list --key-file {path}",
            )
        return tuple(
            replace(record, revoked=record.revoked or now) if record.key_id == key_id else record for record in records
        )

    return next(record for record in _change(path, revoked) if record.key_id == key_id)


def _change(
    path: Path, change: Callable[[tuple[KeyRecord, ...]], tuple[KeyRecord, ...]], *, create: bool = False
) -> tuple[KeyRecord, ...]:
    target = Path(os.path.realpath(path))  # a link stays a link
    try:
        if create:
            target.parent.mkdir(parents=True, exist_ok=True)
        if not target.parent.is_dir():
            raise _invalid(path, "no such file", f"Make one: cellmark keys create --key-file {path}")
        with _only_writer(target.parent):
            records = change(() if create and not target.exists() else read_key_file(target))
            _replace(target, write_lines(records))
            return records
    except OSError as error:
        raise unwritable(path, error) from error


@contextmanager
def _only_writer(folder: Path) -> Iterator[None]:
    """Holds a lock on the folder, which needs no file of its own and ends with the process."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
        os.fsync(handle)  # the new name is on the disk, too
    finally:
        os.close(handle)


def _replace(path: Path, text: str) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name[:32]}-", dir=path.parent)  # with mode 600
    draft = Path(name)
    try:
        with open(handle, "w", encoding="utf-8") as file:
            if path.exists():
                # Who could read the file, such as the service's own group, still can.
                os.fchmod(file.fileno(), stat.S_IMODE(path.stat().st_mode) & ~OTHERS_MAY_WRITE)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _invalid(path: Path, found: str, remedy: str) -> SetupError:
    return SetupError.of(
        "KEY_FILE_INVALID",
        where=str(path),
        expected="a file of keys that cellmark wrote",
        found=found,
        remedy=remedy,
    )
