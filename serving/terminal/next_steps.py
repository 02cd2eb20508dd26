"""The commands that come next after calls: they work as they are pasted."""

import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from cellmark.schemas.atomic_output import free_name
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.columns import CELL_TYPE, UNASSIGNED

from ..scoring.call_options import AS_A_SAMPLE, NO_FLOORS, CallOptions, Floors

MANY_CELLS, MANY = 20, 0.05
"""Unassigned cells, and their share, from which on a sample is worth a second look."""


class NextSteps(NamedTuple):
    """Commands, and what they are for."""

    why: str
    commands: tuple[str, ...]

    def lines(self) -> list[str]:
        """For a terminal."""
        return [self.why, *(f"  {command}" for command in self.commands)]


def next_steps(
    calls: pd.DataFrame,
    data: Path,
    model: str,
    reading: ReadingOptions,
    options: CallOptions = AS_A_SAMPLE,
    floors: Floors = NO_FLOORS,
) -> NextSteps:
    """What to run after the cells in `data` were called: where many are unassigned, what they are; else, which genes
    drove the calls. `calls`: as `annotate` gives them for `model`; `reading`, `floors`: how the cells were read;
    `options`: how they were called.
    """
    n_unassigned = int((calls[CELL_TYPE] == UNASSIGNED).sum())
    asked = [str(data), "-m", model, *flags_of(reading), *flags_of(floors)]
    if n_unassigned < MANY_CELLS or n_unassigned < MANY * len(calls):
        command = ["cellmark", "explain", *asked, "--against", "second", "-o", free_name("why.csv")]
        return NextSteps("Next, the genes behind each call, against the second best type:", (shlex.join(command),))
    asked += _judged(options)
    return NextSteps(
        "Many cells are unassigned. Next, whether all cells have moved, and what the unassigned ones are:",
        (
            shlex.join(["cellmark", "drift", *asked]),
            shlex.join(["cellmark", "markers", "novel", *asked, "-o", free_name("novel.csv")]),
        ),
    )


def flags_of(group: Any) -> list[str]:
    """The options of a command that give the same `ReadingOptions` or `Floors`."""
    flags = []
    for entry in fields(group):
        value = getattr(group, entry.name)
        name = f"--{entry.name.replace('_', '-')}"
        if value is True:
            flags.append(name)
        elif value is not None and value is not False and value != entry.default:
            flags += [name, str(value)]
    return flags


def _judged(options: CallOptions) -> list[str]:
    """The options by which the same cells are unassigned."""
    if options.sample is not None:
        return ["--sample", options.sample]
    return [] if options.as_sample else ["--fixed-threshold"]
