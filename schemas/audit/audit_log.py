"""Where an audit log lies: a SQLite file, or PostgreSQL by its URL. Both keep one chain, whoever writes to it."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol, Self
from urllib.parse import urlsplit

from ..errors import ParameterError, SetupError
from ..tracking.tracking_uri import public_uri, sqlite_path, sqlite_uri
from .chain import ChainRow, Head

WAIT_SECONDS = 5.0
"""How long a writer waits for the others, and for a database that does not answer."""

LOWEST = -(2**63)
"""A number that no row is below, also none that somebody put in."""


class AuditLog(Protocol):
    """An open log, for one thread at a time. All methods raise `SetupError` (`AUDIT_UNAVAILABLE`)."""

    @property
    def log_id(self) -> str: ...

    def append(self, bodies: Sequence[str]) -> list[ChainRow]:
        """Write rows in one transaction. They are on disk when this returns; none of them is when it raises."""
        ...

    def head(self) -> Head:
        """The last row."""
        ...

    def rows(self, *, start: int = LOWEST) -> Iterator[ChainRow]:
        """All rows of this moment with a number from `start` on, in order."""
        ...

    def close(self) -> None: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


def audit_url(text: str) -> str:
    """The URL behind what a user gives, which may be a path: absolute, so that every process means the same log.

    Raises `ParameterError` for another kind of database.
    """
    scheme = urlsplit(text).scheme.split("+")[0]
    if "://" not in text:
        return sqlite_uri(Path(text).expanduser())
    if scheme == "sqlite" and (path := sqlite_path(text)) is not None:
        return sqlite_uri(path)
    if scheme in ("postgresql", "postgres"):
        return "postgresql:" + text.partition(":")[2]
    raise ParameterError.of(
        "PARAMETER_INVALID",
        where="audit",
        expected="a path, sqlite:///PATH or postgresql://USER@HOST/DATABASE",
        found=public_uri(text)[:80],
        remedy="Name a file for the audit log, such as --audit audit.db.",
    )


def open_audit_log(
    url: str, *, create: bool = False, wait_seconds: float = WAIT_SECONDS, max_bytes: int | None = None
) -> AuditLog:
    """Open the log behind a path or URL, with its tables brought up to this version.

    `create`: begin a new log where there is none; else that is an error, since a log that is gone must not begin again
    unseen. `max_bytes`: largest SQLite file. Raises `ParameterError`, and `SetupError`: `AUDIT_UNAVAILABLE`, and
    `EXTRA_MISSING` without the driver of PostgreSQL.
    """
    whole = audit_url(url)
    path = sqlite_path(whole)
    if path is not None:
        from .sqlite_log import SqliteLog

        return SqliteLog(path, create=create, wait_seconds=wait_seconds, max_bytes=max_bytes)
    try:
        from .postgresql_log import PostgresqlLog
    except ImportError as error:
        raise SetupError.of(
            "EXTRA_MISSING",
            where="audit",
            expected="psycopg, the driver of PostgreSQL",
            found=str(error),
            remedy="pip install 'cellmark[postgres]'",
        ) from error
    return PostgresqlLog(whole, create=create, wait_seconds=wait_seconds)


def may_not_be_there(where: str) -> SetupError:
    """There is no log where one should be."""
    return unavailable(
        where,
        "no audit log there",
        remedy="Check the path. If the log is gone, put it back, or start the service with a new one.",
    )


def unavailable(where: str, found: str, *, remedy: str = "") -> SetupError:
    """Nothing can be written, so nothing may be answered."""
    return SetupError.of(
        "AUDIT_UNAVAILABLE",
        where=where,
        expected="an audit log that can be written",
        found=found,
        remedy=remedy or "Make room on its disk or start its database; the service goes on by itself.",
    )
