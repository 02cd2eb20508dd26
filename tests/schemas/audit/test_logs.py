"""A log in SQLite and one in PostgreSQL: the same chain from both, also with several writers, and faults that pass."""

import sqlite3
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cellmark.schemas.audit.audit_log import AuditLog, audit_url, open_audit_log
from cellmark.schemas.audit.chain import check_chain, start_of
from cellmark.schemas.audit.log_tables import MIGRATIONS, missing_steps
from cellmark.schemas.errors import ParameterError, SetupError
from fixtures.postgresql_server import postgresql_server


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with postgresql_server(tmp_path_factory.mktemp("postgresql")) as url:
        yield url


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of a log that does not exist yet."""
    if request.param == "sqlite":
        return audit_url(str(tmp_path / "audit.db"))
    import psycopg

    found: str = request.getfixturevalue("postgresql")
    with psycopg.connect(found, autocommit=True) as connection:
        connection.execute("DROP TABLE IF EXISTS audit_rows, audit_log, audit_schema")
    return found


def checked(log: AuditLog) -> list[str]:
    rows = list(log.rows())
    assert check_chain(rows, log.log_id, [log.head()]).findings == ()
    return [row.body for row in rows]


def test_rows_follow_one_another_and_are_there_again(url: str) -> None:
    with open_audit_log(url, create=True) as log:
        assert log.head() == start_of(log.log_id)
        first = log.append(["{}", '{"n":1}'])
        assert [row.seq for row in first] == [1, 2]
        log_id = log.log_id
    with open_audit_log(url) as log:
        assert log.log_id == log_id
        assert log.head() == first[-1].head
        assert log.append(['{"n":2}'])[0].previous == first[-1].hash
        assert checked(log) == ["{}", '{"n":1}', '{"n":2}']
        assert [row.seq for row in log.rows(start=3)] == [3]


def test_many_writers_make_one_chain(url: str) -> None:
    open_audit_log(url, create=True).close()

    def write(name: str) -> None:
        with open_audit_log(url, create=True) as log:
            for number in range(20):
                log.append([f'"{name}{number}"', f'"{name}{number}+"'])

    threads = [threading.Thread(target=write, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with open_audit_log(url) as log:
        bodies = checked(log)
    assert len(bodies) == len(set(bodies)) == 160
    # What one transaction wrote stands together.
    assert all(bodies[place + 1] == body[:-1] + '+"' for place, body in enumerate(bodies) if "+" not in body)


def test_logs_that_start_together_are_one(url: str) -> None:
    ids: list[str] = []

    def begin() -> None:
        with open_audit_log(url, create=True) as log:
            ids.append(log.log_id)

    threads = [threading.Thread(target=begin) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_a_log_that_is_not_there_is_not_begun_unasked(url: str) -> None:
    with pytest.raises(SetupError, match="no audit log there") as refused:
        open_audit_log(url)
    assert (refused.value.code, refused.value.status) == ("AUDIT_UNAVAILABLE", 503)


def test_a_refused_transaction_leaves_nothing(url: str) -> None:
    with open_audit_log(url, create=True) as log:
        log.append(["{}"])
        with pytest.raises(SetupError) as refused:
            log.append(["{}", None])  # type: ignore[list-item]
        assert refused.value.code == "AUDIT_UNAVAILABLE"
        log.append(['{"n":1}'])
        assert checked(log) == ["{}", '{"n":1}']


@pytest.mark.postgres
def test_a_connection_that_was_cut_is_made_again(postgresql: str) -> None:
    import psycopg

    with open_audit_log(postgresql, create=True) as log:
        before = log.append(["{}"])[-1]
        with psycopg.connect(postgresql, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
        with pytest.raises(SetupError):
            log.append(["{}"])
        assert log.append(["{}"])[0].previous == before.hash


@pytest.mark.postgres
def test_a_password_is_not_shown(postgresql: str) -> None:
    wrong = postgresql.replace("cellmark@", "cellmark:hunter2@").replace("/postgres", "/nowhere")
    with pytest.raises(SetupError) as refused:
        open_audit_log(wrong, create=True)
    assert "nowhere" in str(refused.value)
    assert "hunter2" not in str(refused.value)


def test_a_full_file_refuses_and_takes_rows_again_when_there_is_room(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with open_audit_log(str(path), create=True, max_bytes=64 * 1024) as log:
        for _ in range(30):
            log.append(['"%s"' % ("x" * 1000)])
        with pytest.raises(SetupError, match="full"):
            log.append(['"%s"' % ("x" * 1000)] * 100)
        n_rows = len(checked(log))
        assert n_rows == 30
    with open_audit_log(str(path), max_bytes=1024 * 1024) as log:
        log.append(["{}"])
        assert len(checked(log)) == n_rows + 1


def test_a_log_that_another_process_holds_is_waited_for_and_then_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with open_audit_log(str(path), create=True, wait_seconds=0.05) as log:
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(SetupError, match="locked"):
            log.append(["{}"])
        other.execute("ROLLBACK")
        other.close()
        assert log.append(["{}"])[0].seq == 1


def test_a_file_that_was_removed_is_missed_and_not_written_to(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    with open_audit_log(str(path), create=True) as log:
        log.append(["{}"])
        log._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # type: ignore[attr-defined]
        aside = path.rename(tmp_path / "aside.db")
        with pytest.raises(SetupError, match="no audit log there"):
            log.append(['{"n":1}'])
        open_audit_log(str(path), create=True).close()
        with pytest.raises(SetupError, match="another log than before"):
            log.append(['{"n":1}'])
        path.unlink()
        aside.rename(path)
        assert log.append(['{"n":2}'])[0].seq == 2


def test_every_commit_is_on_disk(tmp_path: Path) -> None:
    with open_audit_log(str(tmp_path / "audit.db"), create=True) as log:
        connection = log._connection  # type: ignore[attr-defined]
        assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_tables_of_a_later_version_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    open_audit_log(str(path), create=True).close()
    with sqlite3.connect(path) as connection:
        connection.execute("INSERT INTO audit_schema VALUES (99)")
    connection.close()
    with pytest.raises(SetupError, match="version 99"):
        open_audit_log(str(path))


def test_steps_are_those_that_are_missing() -> None:
    assert missing_steps(None) == list(enumerate(MIGRATIONS, 1))
    assert missing_steps(len(MIGRATIONS)) == []


def test_a_path_is_a_url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert audit_url("audit.db") == f"sqlite:///{tmp_path}/audit.db"
    assert audit_url("sqlite:///audit.db") == f"sqlite:///{tmp_path}/audit.db"
    assert audit_url("postgres://me@host/db") == "postgresql://me@host/db"
    assert audit_url("postgresql+psycopg://me@host/db") == "postgresql://me@host/db"
    for other in ("mysql://me:secret@host/db", "sqlite://", "http://host"):
        with pytest.raises(ParameterError) as refused:
            audit_url(other)
        assert "secret" not in str(refused.value)


def test_something_else_is_no_log(tmp_path: Path) -> None:
    path = tmp_path / "audit.db"
    path.write_text("not a database, but a text that is long enough to be looked at" * 100)
    with pytest.raises(SetupError) as refused:
        open_audit_log(str(path), create=True)
    assert refused.value.code == "AUDIT_UNAVAILABLE"
