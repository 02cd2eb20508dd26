"""What is wrong with the donors of training cells, by which cells are held out."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..errors import Finding, Severity
from .label_names import N_EXAMPLES, numbered
from .label_text import as_meant, brief, shown
from .likely_columns import columns_in_words, likely_donors

FEW_CELLS = 5
"""Cells a donor, on average, below which a column rather numbers cells."""


def donor_findings(
    obs: pd.DataFrame, donor: str | None, *, label: str, min_cells: int, held_out: bool
) -> tuple[Finding, ...]:
    """All that is to be said of a column of donors; where none is named, of those that are one with the types.

    `label`: the column of labels, which may be wrong itself. `held_out`: whether whole donors will be, so that one
    donor, or one for each type, is an error and not only worth knowing.
    """
    if donor is None:
        return tuple(_confounded(obs, label, min_cells=min_cells))
    if donor not in obs.columns or isinstance(obs[donor], pd.DataFrame):
        return (_unknown(obs, donor),)
    where = f"obs[{donor!r}]"
    values = obs[donor]
    listed, codes = numbered(values)
    names, missing = np.array(listed), codes < 0
    found: list[Finding] = []
    if missing.any():
        found.append(
            Finding(
                "DONOR_MISSING",
                where=where,
                expected="a donor for every cell",
                found=f"{int(missing.sum())} cells without",
                remedy="Fill the column, remove these cells, or omit --donor.",
                examples=tuple(map(str, obs.index[missing][:N_EXAMPLES])),
            )
        )
    if len(names) == 0:
        return tuple(found)
    grave: Severity = "error" if held_out else "warning"
    found += _number_findings(names, int((~missing).sum()), where, grave)
    found += _twins(names, where)
    if label in obs.columns and not isinstance(obs[label], pd.DataFrame) and len(names) > 1:
        types, numbers = numbered(obs[label])
        table = _table(numbers, codes, len(types), len(names))
        found += type_findings(table, np.array(types), names, where, min_cells=min_cells, grave=grave)
    return tuple(found)


def _table(types: np.ndarray, donors: np.ndarray, n_types: int, n_donors: int) -> np.ndarray:
    """Cells, int [types, donors]; a number below 0 is of a cell without."""
    both = (donors >= 0) & (types >= 0)
    table = np.zeros((n_types, n_donors), dtype=np.int64)
    np.add.at(table, (types[both], donors[both]), 1)
    return table


def _confounded(obs: pd.DataFrame, label: str, *, min_cells: int) -> Iterable[Finding]:
    """Warnings of columns that look like donors or samples, when each type is from one of them alone."""
    if label not in obs.columns or isinstance(obs[label], pd.DataFrame):
        return
    types, numbers = numbered(obs[label])
    for column in likely_donors(obs, ""):
        if column == label or isinstance(obs[column], pd.DataFrame):
            continue
        names, codes = numbered(obs[column])
        table = _table(numbers, codes, len(types), len(names))
        table = table[table.sum(axis=1) >= min_cells]
        if len(table) > 1 and ((table > 0).sum(axis=1) == 1).all() and len(np.unique(table.argmax(axis=1))) > 1:
            yield Finding(
                "DONOR_DOUBTFUL",
                where=f"obs[{column!r}]",
                expected="each cell type in several donors or samples",
                found=f"each of {len(table)} types in one alone",
                remedy="The types may differ by their samples alone: neither training nor its measures can tell. "
                "Add samples in which several types occur.",
                severity="warning",
                examples=tuple(brief(name) for name in names[:N_EXAMPLES]),
            )


def type_findings(
    table: np.ndarray, types: np.ndarray, donors: np.ndarray, where: str, *, min_cells: int, grave: Severity
) -> Iterable[Finding]:
    """How types and donors go together. `table`: cells, int [types, donors]."""
    large = table.sum(axis=1) >= min_cells
    spread = (table > 0).sum(axis=1)
    if large.sum() > 1 and (spread[large] == 1).all() and ((table[large] > 0).sum(axis=0) <= 1).all():
        yield Finding(
            "DONOR_DOUBTFUL",
            where=where,
            expected="donors with several cell types each",
            found="one donor for each type, and the reverse",
            remedy="Name the column of donors. Where each donor has one type only, donor and type cannot be separated.",
            severity=grave,
            examples=tuple(brief(str(name)) for name in donors[:N_EXAMPLES]),
        )
        return
    several = table.shape[1] > 1 and table.sum() >= FEW_CELLS * table.shape[1]
    if large.sum() > 1 and several and ((table[large] > 0).sum(axis=0) <= 1).all():
        yield Finding(
            "DONOR_DOUBTFUL",
            where=where,
            expected="donors with several cell types each",
            found="one cell type in each donor",
            remedy="A donor held out tests its one type alone. Name the column of donors, or omit --donor to split by "
            "cells.",
            severity="warning",
            examples=tuple(brief(str(name)) for name in donors[:N_EXAMPLES]),
        )
    single = np.flatnonzero(large & (spread == 1))
    if len(single):
        of_donor = [(str(types[number]), str(donors[table[number].argmax()])) for number in single]
        listed = [f"{brief(name)} ({brief(donor)})" for name, donor in of_donor]
        yield Finding(
            "TYPE_ONE_DONOR",
            where=where,
            expected="every cell type in at least two donors",
            found=f"{len(single)} in one alone: {', '.join(listed[:10])}{' and more' if len(listed) > 10 else ''}",
            remedy="Add donors, or omit --donor to split by cells. "
            "How well these types are found in another donor cannot be measured.",
            severity="warning",
        )


def _unknown(obs: pd.DataFrame, donor: str) -> Finding:
    likely = likely_donors(obs, donor)
    there = f"{donor!r}, where obs has {columns_in_words(obs)}"
    return Finding(
        "DONOR_COLUMN_UNKNOWN",
        where="donor",
        expected="a column of obs",
        found=there if donor not in obs.columns else f"several called {donor!r}",
        remedy=f"Name the column of donors, --donor {' or --donor '.join(map(repr, likely))}, or omit it."
        if likely and donor not in obs.columns
        else "Name the column of donors with --donor, or omit it.",
    )


def _number_findings(names: np.ndarray, n_cells: int, where: str, grave: Severity) -> Iterable[Finding]:
    if len(names) == 1:
        yield Finding(
            "DONOR_ONE",
            where=where,
            expected="at least two donors, one of them to be held out",
            found=f"one: {shown(str(names[0]))}",
            remedy="Omit --donor to split by cells, or name the column that holds the donors.",
            severity=grave,
        )
    elif len(names) == n_cells:
        yield Finding(
            "DONOR_DOUBTFUL",
            where=where,
            expected="donors with many cells each",
            found=f"as many donors as cells ({n_cells})",
            remedy="Name the column of donors: this one numbers cells.",
            severity=grave,
            examples=tuple(brief(str(name)) for name in names[:N_EXAMPLES]),
        )
    elif len(names) * FEW_CELLS > n_cells:
        yield Finding(
            "DONOR_DOUBTFUL",
            where=where,
            expected="donors with many cells each",
            found=f"{len(names)} donors of {n_cells} cells",
            remedy="Name the column of donors: this one seems to number cells.",
            severity="warning",
            examples=tuple(brief(str(name)) for name in names[:N_EXAMPLES]),
        )


def _twins(names: np.ndarray, where: str) -> Iterable[Finding]:
    """The warning of donors that may be one: its cells would be in training and test."""
    groups: dict[str, list[str]] = {}
    for name in map(str, names):
        groups.setdefault(as_meant(name), []).append(name)
    twins = [group for group in groups.values() if len(group) > 1]
    if twins:
        yield Finding(
            "DONOR_DOUBTFUL",
            where=where,
            expected="one spelling of each donor",
            found=f"{len(twins)} that differ in spaces, case, underscores or look-alike characters alone",
            remedy="Give them one name where they are one: else the same donor is trained on and held out.",
            severity="warning",
            examples=tuple(" = ".join(map(shown, group)) for group in twins[:N_EXAMPLES]),
        )
