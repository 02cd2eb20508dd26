"""Names of columns of `obs`, from the header alone: what a shell completes while somebody types."""

import json
import os
import re
import shlex
from pathlib import Path

import h5py

WORDS = ("COMP_WORDS", "_TYPER_COMPLETE_ARGS")
"""Where bash, and the other shells, hand over what was typed so far."""
UNQUOTED = re.compile(r"([^\w+./@:=,%-])")
"""What bash takes for more than a letter. (Names in quotation marks would not begin with what was typed.)"""


def typed_columns(incomplete: str) -> list[str]:
    """The columns that begin so, of the first file on the line that is being typed.

    The parser gives up at an option without a value, which is the one that is being completed: so words are looked at.
    """
    line = next((os.environ[name] for name in WORDS if name in os.environ), "")
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation mark that is still open
        words = line.split()
    found = next((columns for word in words[1:] if (columns := obs_columns(Path(word)))), [])
    return in_shell([name for name in found if name.startswith(incomplete)])


def in_shell(names: list[str]) -> list[str]:
    """Names as they are to stand on the line: bash takes them as they are, other shells quote what needs it."""
    of_bash = os.environ.get("_CELLMARK_COMPLETE", "").endswith("bash")
    return [UNQUOTED.sub(r"\\\1", name) for name in names] if of_bash else names


def obs_columns(path: Path) -> list[str]:
    """The columns of `obs` of an `.h5ad` or `.zarr`, in their order; none where they cannot be read."""
    try:
        if path.suffix not in (".h5ad", ".zarr"):
            return []
        if path.is_dir():
            found = _of_folder(path / "obs")
        else:
            with h5py.File(path, "r") as file:
                found = list(file["obs"].attrs["column-order"])
    except (OSError, KeyError, ValueError, TypeError, AttributeError):
        return []
    return [name.decode() if isinstance(name, bytes) else str(name) for name in found]


def _of_folder(obs: Path) -> list[str]:
    """Names of the columns of a zarr's table, format 3 or 2."""
    whole, attributes = obs / "zarr.json", obs / ".zattrs"
    stated = json.loads((whole if whole.is_file() else attributes).read_text(encoding="utf-8"))
    listed: list[str] = stated.get("attributes", stated)["column-order"]
    return listed
