import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cellmark.schemas.errors import ParameterError, RegistryError
from cellmark.schemas.tracking.tracking_uri import (
    Registry,
    artifact_root,
    check_reachable,
    find_registry,
    public_uri,
    registry_uri,
    sqlite_path,
    sqlite_uri,
    tracking_uri,
)
from cellmark.schemas.tracking.user_config import write_config


def test_the_registry_is_chosen_in_the_order_that_the_manual_states(tmp_path: Path) -> None:
    home, folder = tmp_path / "home", tmp_path / "work"
    folder.mkdir()
    environ = {"CELLMARK_HOME": str(home)}
    of_user = f"sqlite:///{home}/mlflow.db"
    assert tracking_uri(environ=environ, folder=folder) == of_user
    assert not home.exists(), "looking makes nothing"
    (folder / "mlflow.db").touch()
    assert find_registry(environ=environ, folder=folder) == (
        f"sqlite:///{folder}/mlflow.db",
        "mlflow.db of this folder",
    )
    write_config(home, {"registry": "http://team:5000"})
    assert find_registry(environ=environ, folder=folder) == ("http://team:5000", f"{home}/config.toml")
    environ["MLFLOW_TRACKING_URI"] = "http://run:5000"
    assert find_registry(environ=environ, folder=folder) == ("http://run:5000", "MLFLOW_TRACKING_URI")
    assert tracking_uri("http://asked:1", environ=environ, folder=folder) == "http://asked:1"


def test_a_registry_in_words_has_no_password() -> None:
    assert str(Registry("postgresql://me:secret@db/mlflow", "why")) == "Registry: postgresql://db/mlflow (why)"


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("http://mlflow:5000", "http://mlflow:5000"),
        ("postgresql+psycopg://me@db/mlflow", "postgresql+psycopg://me@db/mlflow"),
        ("models.db", "sqlite:///{here}/models.db"),
        ("sqlite:///models.db", "sqlite:///{here}/models.db"),
        ("sqlite:////data/models.db", "sqlite:////data/models.db"),
    ],
)
def test_what_people_name_becomes_a_uri_that_means_the_same_everywhere(
    text: str, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert registry_uri(text) == uri.format(here=tmp_path)


@pytest.mark.parametrize("text", ["", "somewhere", "htp://mlflow", "./mlruns"])
def test_what_is_no_registry_is_refused(text: str) -> None:
    with pytest.raises(ParameterError, match="config set registry"):
        registry_uri(text)


def test_the_environment_names_the_store_unless_an_argument_does() -> None:
    environ = {"MLFLOW_TRACKING_URI": "http://mlflow:5000"}
    assert tracking_uri(environ=environ) == "http://mlflow:5000"
    assert tracking_uri("sqlite:////a.db", environ=environ) == "sqlite:////a.db"


def test_an_empty_setting_counts_as_none(tmp_path: Path) -> None:
    assert tracking_uri(environ={"MLFLOW_TRACKING_URI": ""}, folder=tmp_path).startswith("sqlite:///")


@pytest.mark.parametrize("name", ["plain", "two words", "100%", "what?", "a#b", "naïve"])
def test_sqlalchemy_opens_the_file_that_the_uri_was_made_of(name: str, tmp_path: Path) -> None:
    path = tmp_path / name / "mlflow.db"
    assert make_url(sqlite_uri(path)).database == str(path)
    assert sqlite_path(sqlite_uri(path)) == path


def test_a_relative_path_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert sqlite_uri(Path("mlflow.db")) == f"sqlite:///{tmp_path}/mlflow.db"


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", Path("mlflow.db")),
        ("sqlite:////data/mlflow.db?timeout=5", Path("/data/mlflow.db")),
        ("sqlite+pysqlite:////data/mlflow.db", Path("/data/mlflow.db")),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("http://mlflow:5000", None),
        ("postgresql://db/mlflow", None),
    ],
)
def test_the_file_behind_a_uri(uri: str, path: Path | None) -> None:
    assert sqlite_path(uri) == path


def test_artifacts_lie_beside_a_sqlite_file_and_are_a_servers_own_matter_otherwise(tmp_path: Path) -> None:
    sqlite3.connect(tmp_path / "mlflow.db").close()
    assert artifact_root(sqlite_uri(tmp_path / "mlflow.db")) == tmp_path / "mlartifacts"
    assert artifact_root("http://mlflow:5000") is None


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("http://ann:secret@mlflow:5000/team", "http://mlflow:5000/team"),
        ("https://token@mlflow", "https://mlflow"),
        ("postgresql+psycopg2://ann:s%40cret@db:5432/mlflow?password=secret", "postgresql+psycopg2://db:5432/mlflow"),
        ("sqlite:////data/a@b/mlflow.db", "sqlite:////data/a@b/mlflow.db"),
        ("http://mlflow:5000", "http://mlflow:5000"),
    ],
)
def test_messages_show_no_credentials(uri: str, shown: str) -> None:
    assert public_uri(uri) == shown


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
