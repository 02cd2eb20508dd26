"""Calls that `cellmark annotate` wrote: a table with its facts beside it, or an `.h5ad`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.cells.read import refuse_special, require_input
from cellmark.schemas.cells.read_limits import NO_LIMITS
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE, NOVELTY
from cellmark.schemas.errors import ReadError

from ..outputs.column_names import column_name
from ..outputs.write_calls import facts_path
from .call_tables import EXPECTED, LONGEST_HEADER, NEEDED, TABLES, read_call_table
from .open_apart import calls_apart, open_source

LARGEST_FACTS = 64 * 1024**2
"""Bytes of the JSON beside a table; a panel's missing genes take a few hundred thousand."""


def holds_calls(path: Path) -> bool:
    """Whether a file can be nothing but a table of calls: a `.parquet`, or a `.csv` with their columns."""
    if path.suffix.lower() == ".parquet":
        return True
    if path.suffix.lower() != ".csv" or not path.is_file():
        return False
    with path.open("rb") as handle:
        header = handle.readline(LONGEST_HEADER)
    if CELL_TYPE.encode() in header and CONFIDENCE.encode() in header:
        return True
    return isinstance(prefix := facts_beside(path).get("columns_prefix"), str) and prefix.encode() in header


def read_calls(path: Path, *, trusted: bool = False) -> tuple[pd.DataFrame, dict[str, Any]]:
    """The columns of calls, one row per cell, and the facts beside them, empty where there are none.

    Another process reads the file, within the limits of the environment; `trusted`: this one does, without limits.
    Raises `ReadError` for a file that holds no calls, or that cannot be read within the limits.
    """
    require_input(path)
    refuse_special(path)
    if path.suffix.lower() in TABLES:
        facts = facts_beside(path)
        frame = _read_table(path, facts.get("columns_prefix"), trusted=trusted)
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


def _read_table(path: Path, prefix: object, *, trusted: bool) -> pd.DataFrame:
    """The columns of calls under their own names. `prefix`: what the facts say of those in the file."""
    if not isinstance(prefix, str):
        return read_call_table(path, NO_LIMITS) if trusted else calls_apart(path)
    named = {column_name(name, prefix): name for name in NEEDED}
    return read_columns(path, list(named), trusted=trusted).rename(columns=named)


def read_columns(path: Path, columns: Sequence[str], *, trusted: bool = False) -> pd.DataFrame:
    """Those of the columns that a table has, `.parquet` or `.csv`; of the latter as text. Read and raised as by
    `read_calls`; whether they are there is the caller's to see.
    """
    require_input(path)
    refuse_special(path)
    return read_call_table(path, NO_LIMITS, columns) if trusted else calls_apart(path, columns)


def facts_beside(path: Path) -> dict[str, Any]:
    """The facts of a table of calls, empty where there are none that can be read."""
    beside = facts_path(path)
    try:
        if not beside.is_file() or beside.stat().st_size > LARGEST_FACTS:
            return {}
        facts = json.loads(beside.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if isinstance(facts, dict) else {}


def _no_calls(path: Path, found: str) -> ReadError:
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected=EXPECTED,
        found=found,
        remedy="Annotate the cells again, or give the cells themselves.",
    )
