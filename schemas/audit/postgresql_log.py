"""An audit log in PostgreSQL. An advisory lock lets one writer at a time read the head and write what follows."""

import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, LiteralString, Self

import psycopg

from ..errors import SetupError
from ..tracking.tracking_uri import public_uri
from .audit_log import LOWEST, WAIT_SECONDS, may_not_be_there, unavailable
from .chain import ChainRow, Head, link, start_of
from .log_tables import LAST, LOG_ID, VERSION, VERSION_TABLE, missing_steps

LOCK = 0x63656C6C6D61726B
"""Number of the advisory lock ("cellmark" in ASCII): one for a database."""
INSERT: LiteralString = "INSERT INTO audit_rows (seq, previous, body, hash) VALUES (%s, %s, %s, %s)"
Connection = psycopg.Connection[tuple[Any, ...]]


class PostgresqlLog:
    """See `AuditLog`. `url`: as libpq takes it."""

    def __init__(self, url: str, *, create: bool = False, wait_seconds: float = WAIT_SECONDS) -> None:
        self._url = url
        self._wait_seconds = wait_seconds
        self._connection: Connection | None = None
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
            with connection.cursor() as cursor:
                cursor.executemany(INSERT, rows)
        return rows

    def head(self) -> Head:
        """See `AuditLog`."""
        with self._errors():
            return self._last(self._here())

    def rows(self, *, start: int = LOWEST) -> Iterator[ChainRow]:
        """See `AuditLog`."""
        question: LiteralString = "SELECT seq, previous, body, hash FROM audit_rows WHERE seq >= %s ORDER BY seq"
        with self._errors():
            connection = self._here()
            with connection.transaction(), connection.cursor(name="audit_rows") as cursor:
                cursor.itersize = 5000
                cursor.execute(question, (start,))
                yield from map(ChainRow._make, cursor)

    def close(self) -> None:
        """Close the connection; the next use opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(psycopg.Error):
                connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def _here(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        return self._open(create=False)

    def _open(self, *, create: bool) -> Connection:
        milliseconds = int(self._wait_seconds * 1000)
        connection = psycopg.connect(
            self._url,
            autocommit=True,
            connect_timeout=max(2, int(self._wait_seconds)),
            # A server that is gone without a word is found out by TCP, one that hangs by itself.
            tcp_user_timeout=milliseconds,
            options=f"-c statement_timeout={milliseconds} -c synchronous_commit=on",
        )
        try:
            log_id = _migrate(connection, create=create)
            if log_id is None:
                raise may_not_be_there(public_uri(self._url))
            if self._log_id not in ("", log_id):
                raise unavailable(public_uri(self._url), "another log than before", remedy="Put the log back.")
        except BaseException:
            connection.close()
            raise
        self._connection, self._log_id = connection, log_id
        return connection

    def _last(self, connection: Connection) -> Head:
        found = connection.execute(LAST).fetchone()
        return start_of(self._log_id) if found is None else Head(*found)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except SetupError:
            raise
        except (psycopg.Error, OSError, ValueError) as error:
            self.close()
            # Messages of libpq name host and user, not the password.
            lines = str(error).strip().splitlines()
            raise unavailable(public_uri(self._url), lines[0] if lines else type(error).__name__) from error


@contextmanager
def _writing(connection: Connection) -> Iterator[Connection]:
    """One transaction; no other process writes meanwhile."""
    with connection.transaction():
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
        yield connection


def _migrate(connection: Connection, *, create: bool) -> str | None:
    """The log's id, after its tables are those of this version; None where they do not exist and may not be made."""
    with _writing(connection):
        if _one(connection, "SELECT to_regclass('audit_schema')") is None:
            if not create:
                return None
            connection.execute(VERSION_TABLE)
        for version, statements in missing_steps(_one(connection, VERSION)):
            for statement in statements:
                connection.execute(statement)
            connection.execute("INSERT INTO audit_schema (version) VALUES (%s)", (version,))
        if connection.execute(LOG_ID).fetchone() is None:
            connection.execute("INSERT INTO audit_log (log_id) VALUES (%s)", (secrets.token_hex(16),))
        return str(_one(connection, LOG_ID))


def _one(connection: Connection, question: LiteralString) -> Any:
    found = connection.execute(question).fetchone()
    return None if found is None else found[0]
