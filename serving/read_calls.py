"""Calls that `cellmark annotate` wrote: a table with its facts beside it, or an `.h5ad`."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.errors import Finding, ReadError
from cellmark.schemas.read import require_input

from .open_apart import open_source
from .write_calls import facts_path

NEEDED = (CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE, NOVELTY)
LONGEST_HEADER = 1024**2


def holds_calls(path: Path) -> bool:
    """Whether a file can be nothing but a table of calls: a `.parquet`, or a `.csv` with their columns."""
    if path.suffix.lower() == ".parquet":
        return True
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as handle:
        header = handle.readline(LONGEST_HEADER)
    return CELL_TYPE.encode() in header and CONFIDENCE.encode() in header


def read_calls(path: Path, *, trusted: bool = False) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The columns of calls, one row per cell, and the facts beside them, empty where there are none.

    `trusted`: of an `.h5ad`, see `open_apart`. Raises `ReadError` for a file that holds no calls.
    """
    require_input(path)
    if path.suffix.lower() in (".parquet", ".csv"):
        frame, facts = _read_table(path), _facts_beside(path)
    else:
        with open_source(path, trusted=trusted) as source:
            frame, facts = source.obs, {}
    absent = [name for name in NEEDED if name not in frame.columns]
    if absent:
        raise _no_calls(path, f"no {', '.join(absent)}")
    frame = frame[list(NEEDED)].copy()
    for name in (CONFIDENCE, NOVELTY):
        frame[name] = pd.to_numeric(frame[name], errors="coerce")
    if frame.empty or frame[[CELL_TYPE, BEST_CELL_TYPE, CONFIDENCE]].isna().any(axis=None):
        raise _no_calls(path, "no cells" if frame.empty else "cells without a call")
    return frame, facts


def _read_table(path: Path) -> pd.DataFrame:
    try:
        if path.suffix.lower() == ".parquet":
            return pd.read_parquet(path)
        return pd.read_csv(path, usecols=lambda name: name in NEEDED, keep_default_na=False, na_values=[""])
    except (OSError, ValueError, KeyError) as error:  # pyarrow's and pandas' own errors are kinds of these
        raise _no_calls(path, (str(error) or type(error).__name__).splitlines()[0]) from error


def _facts_beside(path: Path) -> dict[str, Any]:
    try:
        facts = json.loads(facts_path(path).read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _no_calls(path: Path, found: str) -> ReadError:
    return ReadError(
        Finding("FILE_UNREADABLE", str(path), "calls that cellmark annotate wrote", found,
                "Annotate the cells again, or give the cells themselves.")
    )  # fmt: skip
