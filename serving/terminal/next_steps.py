"""The commands that come next after calls of which many cells have none."""

import shlex
from dataclasses import fields
from pathlib import Path

import pandas as pd

from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.columns import CELL_TYPE, UNASSIGNED

from ..scoring.call_options import AS_A_SAMPLE, CallOptions

MANY_CELLS, MANY = 20, 0.05
"""Unassigned cells, and their share, from which on a sample is worth a second look."""


def next_steps(
    calls: pd.DataFrame, data: Path, model: str, reading: ReadingOptions, options: CallOptions = AS_A_SAMPLE
) -> list[str]:
    """What to run where many of the cells in `data` are unassigned, a line each; nothing otherwise. `calls`: as
    `annotate` gives them for `model`; `reading`: how the cells were read; `options`: how they were called.
    """
    n_unassigned = int((calls[CELL_TYPE] == UNASSIGNED).sum())
    if n_unassigned < MANY_CELLS or n_unassigned < MANY * len(calls):
        return []
    asked = " ".join(shlex.quote(part) for part in (str(data), "-m", model, *flags_of(reading), *_judged(options)))
    return [
        "Many cells are unassigned. Next, whether all cells have moved, and what the unassigned ones are:",
        f"  cellmark drift {asked}",
        f"  cellmark markers novel {asked} -o novel.csv",
    ]


def _judged(options: CallOptions) -> list[str]:
    """The options by which the same cells are unassigned."""
    if options.sample is not None:
        return ["--sample", options.sample]
    return [] if options.as_sample else ["--fixed-threshold"]


def flags_of(reading: ReadingOptions) -> list[str]:
    """The options of a command that read cells in the same way."""
    flags = []
    for entry in fields(reading):
        value = getattr(reading, entry.name)
        name = f"--{entry.name.replace('_', '-')}"
        if value is True:
            flags.append(name)
        elif value not in (None, False) and value != entry.default:
            flags += [name, str(value)]
    return flags
