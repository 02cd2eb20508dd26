"""What columns of calls are called where a pipeline wants names of its own."""

import re

import pandas as pd

from cellmark.schemas.columns import CELL_TYPE, UNS_KEY
from cellmark.schemas.errors import ParameterError

MODEL = "{model}"
UNSAFE = re.compile(r"[^\w.-]+")


def check_prefix(prefix: str) -> None:
    """Raise `ParameterError` for a prefix that obs cannot have, or with another placeholder than `{model}`."""
    filled = prefix.replace(MODEL, "model")
    if filled.strip() == filled and filled and filled.isprintable() and not set(filled) & set("/{}"):
        return
    raise ParameterError.of(
        "PARAMETER_INVALID",
        where="columns_prefix",
        expected="text without slashes and outer spaces, and no other placeholder than {model}",
        found=repr(prefix),
        remedy="Give one such as --columns-prefix query or --columns-prefix 'annotation:cellmark:{model}:per_cell'.",
    )


def filled_prefix(prefix: str, model: str) -> str:
    """`prefix` with the model's name in it, of which only letters, digits, `_`, `.` and `-` are kept."""
    return prefix.replace(MODEL, UNSAFE.sub("_", model))


def column_name(column: str, prefix: str | None) -> str:
    """What a column of calls, or a key of `uns`, is called.

    `cellmark_confidence` is `query_confidence` with the prefix `query`. A prefix with a colon names the call itself:
    `a:b`, and `a:b:confidence`. Other columns (`probability:B cell`) stand behind the prefix. None: as they are.
    """
    if prefix is None:
        return column
    own = column == UNS_KEY or column.startswith(f"{UNS_KEY}_")
    rest = column.removeprefix(UNS_KEY).removeprefix("_") if own else column
    if ":" in prefix:
        call = CELL_TYPE.removeprefix(f"{UNS_KEY}_")
        rest = rest.removeprefix(call) if rest in (call, f"{call}_colors") else f":{rest}" if rest else ""
        return prefix + rest
    return f"{prefix}_{rest}" if rest else prefix


def renamed_columns(frame: pd.DataFrame, prefix: str | None) -> pd.DataFrame:
    """A frame of calls under other names; its index, the cell ids, stays."""
    return frame if prefix is None else frame.rename(columns=lambda name: column_name(str(name), prefix))


def aggregatable(column: str) -> bool:
    """Whether a column of calls holds labels that may be counted over a cluster: the calls, and those of levels."""
    return column == CELL_TYPE or re.fullmatch(rf"{UNS_KEY}_level_\d+", column) is not None
