"""`cellmark config`, and the line that says which registry is used."""

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cellmark = Callable[..., Any]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, no_mlflow_settings: None) -> Path:
    monkeypatch.setenv("CELLMARK_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return tmp_path / "home"


def test_a_setting_is_set_shown_and_unset(cellmark: Cellmark, home: Path) -> None:
    assert f"Registry: sqlite:///{home}/mlflow.db (the default" in cellmark("config", "show").out
    assert cellmark("config", "set", "registry", "postgresql://me:secret@db/mlflow").status == 0
    shown = json.loads(cellmark("config", "show", "--json").out)
    assert shown == {
        "file": f"{home}/config.toml",
        "settings": {"registry": "postgresql://db/mlflow"},
        "registry": {"uri": "postgresql://db/mlflow", "chosen_by": f"{home}/config.toml"},
    }
    assert cellmark("config", "unset", "registry").status == 0
    assert json.loads(cellmark("config", "show", "--json").out)["settings"] == {}
    assert cellmark("config", "unset", "registry").out == "registry is not set\n"


def test_what_cannot_be_set_is_refused_and_nothing_is_written(cellmark: Cellmark, home: Path) -> None:
    for arguments in (("colour", "red"), ("registry", "somewhere")):
        ran = cellmark("config", "set", *arguments)
        assert ran.status == 1
        assert "[PARAMETER_INVALID]" in ran.err
    assert not home.exists()


def test_a_command_says_on_standard_error_which_registry_it_uses_and_why(
    cellmark: Cellmark, home: Path, registered_database: Path
) -> None:
    home.mkdir()
    (home / "mlflow.db").write_bytes(registered_database.read_bytes())
    line = (
        f"Registry: sqlite:///{home}/mlflow.db (the default; MLFLOW_TRACKING_URI or `cellmark config` choose another)"
    )
    ran = cellmark("models", "list", "--json")
    assert ran.err.splitlines().count(line) == 1
    assert [one["name"] for one in json.loads(ran.out)["models"]] == ["tiny"]
    assert "Registry" not in cellmark("models", "list", "--quiet").err
    # As before there were users' registries: a database in the folder goes first.
    here = Path.cwd() / "mlflow.db"
    here.write_bytes(registered_database.read_bytes())
    with sqlite3.connect(here) as database:
        database.execute("PRAGMA foreign_keys = OFF")
        database.execute("UPDATE registered_models SET description = 'of the folder'")
    assert f"Registry: sqlite:///{here} (mlflow.db of this folder)" in cellmark("models", "show", "tiny").err
    cellmark("config", "set", "registry", home / "mlflow.db")
    assert f"({home}/config.toml)" in cellmark("models", "show", "tiny").err


def test_a_bundle_folder_needs_no_registry_and_none_is_named(cellmark: Cellmark, home: Path, tiny_bundle: Any) -> None:
    ran = cellmark("models", "show", tiny_bundle.folder)
    assert ran.status == 0
    assert "Registry" not in ran.err
