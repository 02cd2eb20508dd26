"""Coarser names of types in further columns of `obs`: whether each type has one, and whether levels nest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from ..errors import Finding
from .label_names import MISSING_WORDS, UNASSIGNED, numbered
from .label_text import as_meant, brief
from .likely_columns import columns_in_words

STRAY = 0.05
"""Share of a type's cells that may have another name than most of them: which group a type is in is a fact of the type,
and a hand-edited column has some slips. Of more, the column says something else."""
MOST_NAMED = 5


@dataclass(frozen=True)
class Level:
    """`of_type`: the name of each type's group, by type. A type that the column does not name stands by itself."""

    column: str
    of_type: Mapping[str, str]

    @property
    def n_groups(self) -> int:
        return len(set(self.of_type.values()))


def level_findings(obs: pd.DataFrame, label: str, columns: Sequence[str], *, min_cells: int) -> tuple[Finding, ...]:
    """All that is to be said of columns of levels; nothing where the labels themselves cannot be read."""
    return read_levels(obs, label, columns, min_cells=min_cells)[1]


def read_levels(
    obs: pd.DataFrame, label: str, columns: Sequence[str], *, min_cells: int
) -> tuple[tuple[Level, ...], tuple[Finding, ...]]:
    """Levels of the types of at least `min_cells` cells, those with the fewest names first, and what is wrong."""
    if obs.columns.tolist().count(label) != 1:
        return (), ()
    unknown = [name for name in columns if name == label or obs.columns.tolist().count(name) != 1]
    if unknown:
        return (), (
            Finding(
                "LABEL_COLUMN_UNKNOWN",
                where="levels",
                expected=f"columns of obs with coarser names than {label!r}",
                found=f"{', '.join(map(repr, unknown))}, where obs has {columns_in_words(obs)}",
                remedy="Name such columns: --levels COLUMN,COLUMN.",
            ),
        )
    read = [_read(obs, label, column, min_cells) for column in columns]
    levels = tuple(sorted((level for level, _ in read), key=lambda level: level.n_groups))
    findings = [finding for _, found in read for finding in found]
    if not any(finding.severity == "error" for finding in findings):
        findings += [one for level in levels for one in _not_grouping(level)]
        findings += [one for coarse, fine in pairwise(levels) for one in _not_nested(coarse, fine)]
    return levels, tuple(findings)


def _read(obs: pd.DataFrame, label: str, column: str, min_cells: int) -> tuple[Level, list[Finding]]:
    types, of_cell = numbered(obs[label])
    names, named = numbered(obs[column])
    says_nothing = np.array([as_meant(name) in MISSING_WORDS for name in names] + [True])
    named = np.where(says_nothing[named], len(names), named)
    known = of_cell >= 0
    cells = np.zeros((len(types), len(names) + 1), dtype=np.int64)
    np.add.at(cells, (of_cell[known], named[known]), 1)
    sizes, most = cells.sum(axis=1), cells.argmax(axis=1)
    kept = np.flatnonzero(sizes >= min_cells)
    called = [*names, None]
    of_type = {types[code]: called[most[code]] or types[code] for code in kept}
    share = (sizes - cells.max(axis=1))[kept] / np.maximum(sizes[kept], 1)
    found = []
    for severity, mixed in (("error", share > STRAY), ("warning", (share > 0) & (share <= STRAY))):
        if mixed.any():
            worst = kept[mixed][np.argsort(-share[mixed], kind="stable")]
            rows = [_counted(types[code], cells[code], called) for code in worst]
            found.append(_mixed(column, label, rows, severity))
    if UNASSIGNED in of_type.values():
        found.append(
            _finding(
                column,
                "names of groups of types",
                f"{UNASSIGNED!r}, which cells of no type are called",
                f"Rename it: adata.obs[{column!r}] = adata.obs[{column!r}].astype(str).replace("
                f"{UNASSIGNED!r}, 'not named').",
            )
        )
    return Level(column, of_type), found


def _counted(cell_type: str, sizes: np.ndarray, names: Sequence[str | None]) -> str:
    order = np.argsort(-sizes, kind="stable")
    parts = [f"{brief(names[place] or 'no name')} ({sizes[place]:,})" for place in order[:MOST_NAMED] if sizes[place]]
    return f"{brief(cell_type)}: {', '.join(parts)}"


def _mixed(column: str, label: str, rows: Sequence[str], severity: str) -> Finding:
    grouped = f"adata.obs.groupby({label!r}, observed=True)[{column!r}]"
    most = f"{grouped}.agg(lambda names: names.mode(dropna=False).iloc[0])"
    one_name = f"adata.obs[{column!r}] = adata.obs[{label!r}].map({most})"
    return _finding(
        column,
        "one name for all cells of a type",
        f"{len(rows)} {'type' if len(rows) == 1 else 'types'} with several: {rows[0]}",
        f"Give them the most frequent one: {one_name}."
        if severity == "error"
        else "Types are in the group that nearly all of their cells name; these cells keep their label.",
        severity=severity,
        examples=tuple(rows[1:MOST_NAMED]),
    )


def _not_grouping(level: Level) -> list[Finding]:
    if level.n_groups in (1, len(level.of_type)):
        one = "one name for all types" if level.n_groups == 1 else "another name for every type"
        remedy = "Omit it from --levels: it would say nothing beyond the call."
        return [_finding(level.column, "names that several types share, and at least two", one, remedy)]
    return []


def _not_nested(coarse: Level, fine: Level) -> list[Finding]:
    above: dict[str, dict[str, str]] = {}
    for cell_type, name in fine.of_type.items():
        above.setdefault(name, {}).setdefault(coarse.of_type[cell_type], cell_type)
    split = [
        f"{brief(name)} lies in " + " and ".join(f"{brief(one)} ({brief(of)})" for one, of in names.items())
        for name, names in above.items()
        if len(names) > 1
    ]
    if not split:
        return []
    return [
        _finding(
            fine.column,
            f"groups that each lie within one of obs[{coarse.column!r}]",
            f"{len(split)} that do not: {split[0]}",
            f"Rename them in one of the columns, or give one level alone: --levels {coarse.column}.",
            examples=tuple(split[1:MOST_NAMED]),
        )
    ]


def _finding(
    column: str, expected: str, found: str, remedy: str, *, severity: str = "error", examples: tuple[str, ...] = ()
) -> Finding:
    return Finding(
        "LEVELS_INVALID",
        where=f"obs[{column!r}]",
        expected=expected,
        found=found,
        remedy=remedy,
        severity=severity,  # type: ignore[arg-type]
        examples=examples,
    )
