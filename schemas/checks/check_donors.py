"""What is wrong with the donors of training cells, by which cells are held out."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..errors import Finding, Severity
from .check_labels import N_EXAMPLES, numbered
from .label_text import as_meant, brief, shown
from .likely_columns import columns_in_words, likely_donors

FEW_CELLS = 5
"""Cells a donor, on average, below which a column rather numbers cells."""


def donor_findings(
    obs: pd.DataFrame, donor: str | None, *, label: str, min_cells: int, held_out: bool
) -> tuple[Finding, ...]:
    """All that is to be said of a column of donors; nothing when there is none.

    `label`: the column of labels, which may be wrong itself. `held_out`: whether whole donors will be, so that one
    donor, or one for each type, is an error and not only worth knowing.
    """
    if donor is None:
        return ()
    if donor not in obs.columns or isinstance(obs[donor], pd.DataFrame):
        return (_unknown(obs, donor),)
    where = f"obs[{donor!r}]"
    values = obs[donor]
    listed, codes = numbered(values)
    names, missing = np.array(listed), codes < 0
    found: list[Finding] = []
    if missing.any():
        found.append(
            Finding("DONOR_MISSING", where, "a donor for every cell", f"{int(missing.sum())} cells without",
                    "Fill the column, remove these cells, or omit --donor.", "error",
                    tuple(map(str, obs.index[missing][:N_EXAMPLES])))
        )  # fmt: skip
    if len(names) == 0:
        return tuple(found)
    grave: Severity = "error" if held_out else "warning"
    found += _number_findings(names, int((~missing).sum()), where, grave)
    found += _twins(names, where)
    if label in obs.columns and not isinstance(obs[label], pd.DataFrame) and len(names) > 1:
        types, numbers = numbered(obs[label])
        both = ~missing & (numbers >= 0)
        table = np.zeros((len(types), len(names)), dtype=np.int64)
        np.add.at(table, (numbers[both], codes[both]), 1)
        found += type_findings(table, np.array(types), names, where, min_cells=min_cells, grave=grave)
    return tuple(found)


def type_findings(
    table: np.ndarray, types: np.ndarray, donors: np.ndarray, where: str, *, min_cells: int, grave: Severity
) -> Iterable[Finding]:
    """How types and donors go together. `table`: cells, int [types, donors]."""
    large = table.sum(axis=1) >= min_cells
    spread = (table > 0).sum(axis=1)
    if large.sum() > 1 and (spread[large] == 1).all() and ((table[large] > 0).sum(axis=0) <= 1).all():
        yield Finding(
            "DONOR_DOUBTFUL", where, "donors with several cell types each", "one donor for each type, and the reverse",
            "Name the column of donors. Where each donor has one type only, donor and type cannot be separated.", grave,
            tuple(brief(str(name)) for name in donors[:N_EXAMPLES]),
        )  # fmt: skip
        return
    single = np.flatnonzero(large & (spread == 1))
    if len(single):
        of_donor = [(str(types[number]), str(donors[table[number].argmax()])) for number in single]
        listed = [f"{brief(name)} ({brief(donor)})" for name, donor in of_donor]
        yield Finding(
            "TYPE_ONE_DONOR", where, "every cell type in at least two donors",
            f"{len(single)} in one alone: {', '.join(listed[:10])}{' and more' if len(listed) > 10 else ''}",
            "How well they are found in another donor cannot be measured; add donors, or omit --donor to split "
            "by cells.", "warning",
        )  # fmt: skip


def _unknown(obs: pd.DataFrame, donor: str) -> Finding:
    likely = likely_donors(obs, donor)
    there = f"{donor!r}, where obs has {columns_in_words(obs)}"
    return Finding(
        "DONOR_COLUMN_UNKNOWN", "donor", "a column of obs",
        there if donor not in obs.columns else f"several called {donor!r}",
        (f"Name the column of donors, --donor {' or --donor '.join(map(repr, likely))}, or omit it."
         if likely and donor not in obs.columns else "Name the column of donors with --donor, or omit it."),
    )  # fmt: skip


def _number_findings(names: np.ndarray, n_cells: int, where: str, grave: Severity) -> Iterable[Finding]:
    if len(names) == 1:
        yield Finding(
            "DONOR_ONE", where, "at least two donors, one of them to be held out", f"one: {shown(str(names[0]))}",
            "Omit --donor to split by cells, or name the column that holds the donors.", grave,
        )  # fmt: skip
    elif len(names) == n_cells:
        yield Finding(
            "DONOR_DOUBTFUL", where, "donors with many cells each", f"as many donors as cells ({n_cells})",
            "Name the column of donors: this one numbers cells.", grave,
            tuple(brief(str(name)) for name in names[:N_EXAMPLES]),
        )  # fmt: skip
    elif len(names) * FEW_CELLS > n_cells:
        yield Finding(
            "DONOR_DOUBTFUL", where, "donors with many cells each", f"{len(names)} donors of {n_cells} cells",
            "Name the column of donors: this one seems to number cells.", "warning",
            tuple(brief(str(name)) for name in names[:N_EXAMPLES]),
        )  # fmt: skip


def _twins(names: np.ndarray, where: str) -> Iterable[Finding]:
    """The warning of donors that may be one: its cells would be in training and test."""
    groups: dict[str, list[str]] = {}
    for name in map(str, names):
        groups.setdefault(as_meant(name), []).append(name)
    twins = [group for group in groups.values() if len(group) > 1]
    if twins:
        yield Finding(
            "DONOR_DOUBTFUL", where, "one spelling of each donor",
            f"{len(twins)} that differ in spaces, case, underscores or look-alike characters alone",
            "Give them one name where they are one: else the same donor is trained on and held out.", "warning",
            tuple(" = ".join(map(shown, group)) for group in twins[:N_EXAMPLES]),
        )  # fmt: skip
