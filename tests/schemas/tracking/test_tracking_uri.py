import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import make_url

from cellmark.schemas.tracking.tracking_uri import artifact_root, public_uri, sqlite_path, sqlite_uri, tracking_uri


def test_without_a_setting_the_database_is_a_file_in_the_working_folder(tmp_path: Path) -> None:
    assert tracking_uri(environ={}, folder=tmp_path) == f"sqlite:///{tmp_path}/mlflow.db"


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
