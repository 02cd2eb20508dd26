"""The user's settings: where they are, what they may be, and what a broken file says."""

import stat
import tomllib
from pathlib import Path

import pytest

from cellmark.schemas.errors import SetupError
from cellmark.schemas.tracking.user_config import home_folder, read_config, write_config


def test_the_home_is_that_of_the_variable_or_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home_folder({"CELLMARK_HOME": str(tmp_path)}) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert home_folder({}) == tmp_path / "me" / ".cellmark"
    assert home_folder({"CELLMARK_HOME": "~/cm"}) == tmp_path / "me" / "cm"


@pytest.mark.parametrize("uri", ["http://mlflow:5000", 'sqlite:////a "b"/c\\d/é.db', "sqlite:////x\ty.db"])
def test_what_is_written_is_toml_that_gives_the_same_back(uri: str, tmp_path: Path) -> None:
    path = write_config(tmp_path / "new", {"registry": uri})
    assert tomllib.loads(path.read_text()) == {"registry": uri}
    assert read_config(tmp_path / "new") == {"registry": uri}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_without_a_file_nothing_is_set(tmp_path: Path) -> None:
    assert read_config(tmp_path) == {}
    assert read_config(None) == {}


@pytest.mark.parametrize("text", ["registry = ", "registry = 3", 'registry = ""', 'regsitry = "http://x"'])
def test_a_broken_file_is_named_with_a_remedy(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(SetupError) as caught:
        read_config(tmp_path)
    assert caught.value.code == "CONFIG_INVALID"
    assert f"rm {tmp_path}/config.toml" in str(caught.value)
