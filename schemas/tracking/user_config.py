"""What a user has chosen once for all folders: `config.toml` in `CELLMARK_HOME`, by default `~/.cellmark`."""

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

from ..atomic_output import whole_file
from ..errors import ParameterError, SetupError

VARIABLE = "CELLMARK_HOME"
FILE = "config.toml"
REGISTRY = "registry"
SETTINGS = {REGISTRY: "MLflow's tracking server or database, where models are registered"}
"""Every setting with its meaning."""


def home_folder(environ: Mapping[str, str] | None = None) -> Path | None:
    """`CELLMARK_HOME`, else `~/.cellmark`; None for a user without a home. Nothing is made."""
    given = (os.environ if environ is None else environ).get(VARIABLE)
    try:
        return Path(given).expanduser().absolute() if given else Path.home() / ".cellmark"
    except RuntimeError:
        return None


def required_home() -> Path:
    """The home folder. Raises `SetupError` (`CONFIG_INVALID`) for a user without one."""
    home = home_folder()
    if home is None:
        raise SetupError.of(
            "CONFIG_INVALID",
            where=VARIABLE,
            expected="a folder for the settings of this user",
            found="a user without a home folder",
            remedy=f"Set {VARIABLE} to a folder: export {VARIABLE}=$PWD/cellmark-home",
        )
    return home


def read_config(folder: Path | None) -> dict[str, str]:
    """The settings in a home folder; empty where it has none. Raises `SetupError` (`CONFIG_INVALID`)."""
    path = None if folder is None else folder / FILE
    if path is None or not path.is_file():
        return {}
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise _invalid(path, "settings in TOML", str(error)) from error
    for name, value in found.items():
        if name not in SETTINGS:
            raise _invalid(path, f"settings among {', '.join(SETTINGS)}", name)
        if not isinstance(value, str) or not value:
            raise _invalid(path, f"text as {name}", repr(value))
    return found


def write_config(folder: Path, settings: Mapping[str, str]) -> Path:
    """Write the settings of a home folder, readable by its owner alone: a URI may hold a password."""
    path = folder / FILE
    # Basic strings of TOML are written as those of JSON.
    lines = [f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in sorted(settings.items())]
    with whole_file(path, force=True) as draft:
        draft.write_text("".join(lines), encoding="utf-8")
    path.chmod(0o600)
    return path


def check_setting(name: str) -> None:
    """Raise `ParameterError` for a name that is no setting."""
    if name not in SETTINGS:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="setting",
            expected=f"one of: {', '.join(SETTINGS)}",
            found=repr(name),
            remedy="`cellmark config show` lists all settings.",
        )


def _invalid(path: Path, expected: str, found: str) -> SetupError:
    return SetupError.of(
        "CONFIG_INVALID",
        where=str(path),
        expected=expected,
        found=found,
        remedy=f"Correct the file, or remove it: rm {path}",
    )
