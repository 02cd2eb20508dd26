"""An audit log in a SQLite file: write-ahead log, a real fsync for every transaction, one writer at a time."""

import os
import secrets
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

from ..errors import SetupError
from .audit_log import LOWEST, WAIT_SECONDS, may_not_be_there, unavailable
from .chain import ChainRow, Head, link, start_of
from .log_tables import LAST, LOG_ID, VERSION, VERSION_TABLE, missing_steps

INSERT = "INSERT INTO audit_rows (seq, previous, body, hash) VALUES (?, ?, ?, ?)"


class SqliteLog:
    """See `AuditLog`. `max_bytes`: the file may not grow beyond; then it counts as a full disk."""

    def __init__(
        self, path: Path, *, create: bool = False, wait_seconds: float = WAIT_SECONDS, max_bytes: int | None = None
    ) -> None:
        self._path = path
        self._wait_seconds = wait_seconds
        self._max_bytes = max_bytes
        self._connection: sqlite3.Connection | None = None
        self._inode = -1
        self._log_id = ""
        with self._errors():
            self._open(create=create)

    @property
    def log_id(self) -> str:
        return self._log_id

    def append(self, bodies: Sequence[str]) -> list[ChainRow]:
        """See `AuditLog`."""
        with self._errors(), _writing(self._here()) as connection:
            rows = link(self._last(connection), bodies)
            connection.executemany(INSERT, rows)
        return rows

    def head(self) -> Head:
        """See `AuditLog`."""
        with self._errors():
            return self._last(self._here())

    def rows(self, *, start: int = LOWEST) -> Iterator[ChainRow]:
        """See `AuditLog`."""
        with self._errors():
            question = "SELECT seq, previous, body, hash FROM audit_rows WHERE seq >= ? ORDER BY seq"
            yield from map(ChainRow._make, self._here().execute(question, (start,)))

    def close(self) -> None:
        """Close the file; the next use opens it again."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _here(self) -> sqlite3.Connection:
        """The connection, to the file that is at the path now: rows in one that was removed would be lost unseen."""
        if self._connection is not None:
            try:
                if os.stat(self._path).st_ino == self._inode:
                    return self._connection
            except OSError:
                pass
            self.close()
        return self._open(create=False)

    def _open(self, *, create: bool) -> sqlite3.Connection:
        if not create and not self._path.is_file():
            raise may_not_be_there(str(self._path))
        if create:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self._path, timeout=self._wait_seconds, isolation_level=None)
        try:
            # FULL: a commit is on disk when it returns. Without it the last ones would go with the power.
            connection.execute("PRAGMA synchronous = FULL")
            if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
                with _writing(connection):
                    pass  # only one process at a time may change the mode; others wait here
                connection.execute("PRAGMA journal_mode = WAL")
            if self._max_bytes is not None:
                size = connection.execute("PRAGMA page_size").fetchone()[0]
                connection.execute(f"PRAGMA max_page_count = {max(1, self._max_bytes // size)}")
            log_id = _migrate(connection, create=create)
            if log_id is None:
                raise may_not_be_there(str(self._path))
            if self._log_id not in ("", log_id):
                raise unavailable(str(self._path), "another log than before", remedy="Put the log back.")
            self._inode = os.stat(self._path).st_ino
        except BaseException:
            connection.close()
            raise
        self._connection, self._log_id = connection, log_id
        return connection

    def _last(self, connection: sqlite3.Connection) -> Head:
        found = connection.execute(LAST).fetchone()
        return start_of(self._log_id) if found is None else Head(*found)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SetupError:
            raise
        except (sqlite3.Error, OSError, ValueError) as error:
            # A new connection for the next attempt: it goes on as soon as there is room again.
            self.close()
            raise unavailable(str(self._path), str(error) or type(error).__name__) from error


@contextmanager
def _writing(connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """One transaction; no other process writes meanwhile."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield connection
        connection.execute("COMMIT")
    except BaseException:
        # Some errors, a full disk among them, have ended the transaction already.
        if connection.in_transaction:
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        raise


def _migrate(connection: sqlite3.Connection, *, create: bool) -> str | None:
    """The log's id, after its tables are those of this version; None where they do not exist and may not be made."""
    known = "SELECT count(*) FROM sqlite_master WHERE name = 'audit_schema'"
    if connection.execute(known).fetchone()[0] and not missing_steps(connection.execute(VERSION).fetchone()[0]):
        return str(connection.execute(LOG_ID).fetchone()[0])
    if not create and not connection.execute(known).fetchone()[0]:
        return None
    with _writing(connection):
        connection.execute(VERSION_TABLE)
        for version, statements in missing_steps(connection.execute(VERSION).fetchone()[0]):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO audit_schema (version) VALUES (?)", (version,))
        if connection.execute(LOG_ID).fetchone() is None:
            connection.execute("INSERT INTO audit_log (log_id) VALUES (?)", (secrets.token_hex(16),))
        return str(connection.execute(LOG_ID).fetchone()[0])
