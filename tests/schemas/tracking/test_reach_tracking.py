import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from cellmark.schemas.errors import RegistryError
from cellmark.schemas.tracking.reach_tracking import check_reachable
from cellmark.schemas.tracking.tracking_uri import sqlite_uri


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


@contextmanager
def server(status: int) -> Iterator[str]:
    """A server that answers every request with one status."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}"
        finally:
            running.shutdown()
            thread.join()


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("status", [200, 401, 404])
def test_a_server_that_answers_is_reachable_whatever_it_thinks_of_us(status: int) -> None:
    with server(status) as uri:
        check_reachable(uri, create=False)


def test_a_gateway_without_a_server_behind_it_is_not() -> None:
    with server(503) as uri, pytest.raises(RegistryError, match="503") as caught:
        check_reachable(uri, create=False)
    assert caught.value.code == "REGISTRY_UNREACHABLE"


def test_a_refused_connection_is_told_without_the_password() -> None:
    with pytest.raises(RegistryError) as caught:
        check_reachable(f"http://ann:secret@127.0.0.1:{closed_port()}", create=False)
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert "secret" not in str(caught.value)
    assert "http://127.0.0.1" in str(caught.value)


def test_a_server_that_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        began = time.monotonic()
        with pytest.raises(RegistryError, match="no answer"):
            check_reachable(f"http://127.0.0.1:{silent.getsockname()[1]}", create=False, timeout=0.5)
    assert time.monotonic() - began < 5


def test_something_that_does_not_speak_http_is_not_reachable() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def mumble() -> None:
            connection, _ = listener.accept()
            connection.recv(1000)
            connection.sendall(b"SSH-2.0-OpenSSH\r\n")
            connection.close()

        thread = threading.Thread(target=mumble)
        thread.start()
        with pytest.raises(RegistryError, match="REGISTRY_UNREACHABLE"):
            check_reachable(f"http://127.0.0.1:{listener.getsockname()[1]}", create=False)
        thread.join()


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2", "mysql+pymysql"])
def test_a_database_host_must_take_connections(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        check_reachable(f"{scheme}://ann:secret@127.0.0.1:{listener.getsockname()[1]}/mlflow", create=False)
    with pytest.raises(RegistryError) as caught:
        check_reachable(f"{scheme}://ann:secret@127.0.0.1:{closed_port()}/mlflow", create=False)
    assert "secret" not in str(caught.value)


def test_a_missing_sqlite_file_is_no_store_to_read_from_and_is_not_made(tmp_path: Path) -> None:
    uri = sqlite_uri(tmp_path / "mlflow.db")
    with pytest.raises(RegistryError, match="no such file"):
        check_reachable(uri, create=False)
    check_reachable(uri, create=True)
    assert not list(tmp_path.iterdir())


def test_a_file_of_another_kind_is_not_a_store(tmp_path: Path) -> None:
    path = tmp_path / "mlflow.db"
    path.write_text("not a database")
    with pytest.raises(RegistryError, match="not a SQLite database"):
        check_reachable(sqlite_uri(path), create=True)


def test_a_folder_is_not_a_store(tmp_path: Path) -> None:
    for uri in (str(tmp_path), f"file://{tmp_path}", sqlite_uri(tmp_path)):
        with pytest.raises(RegistryError, match="REGISTRY_UNREACHABLE"):
            check_reachable(uri, create=True)


def test_a_store_with_tables_is_reachable(mlflow_store: str) -> None:
    check_reachable(mlflow_store, create=False)


def test_a_new_database_in_a_folder_that_may_not_be_written_is_refused_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = sqlite_uri(tmp_path / "new" / "mlflow.db")
    check_reachable(uri, create=True)
    monkeypatch.setattr(os, "access", lambda path, mode: not (mode == os.W_OK and Path(path) == tmp_path))
    with pytest.raises(RegistryError, match="may not be written"):
        check_reachable(uri, create=True)
