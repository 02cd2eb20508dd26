"""What is wrong with the labels of training cells; every finding of a column at once."""

from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from ..errors import Finding
from ..near_names import given_as
from .label_names import N_EXAMPLES, LabelNames, is_number, name_findings, number_findings, numbered
from .label_text import brief
from .likely_columns import columns_in_words, likely_labels


def label_findings(obs: pd.DataFrame, label: str, *, min_cells: int) -> tuple[Finding, ...]:
    """All that is to be said of a column of labels. `min_cells`: the floor below which a type is left out."""
    found = label_column_findings(obs, label)
    if any(finding.code == "LABEL_COLUMN_UNKNOWN" for finding in found):
        return found
    where = f"obs[{label!r}]"
    values = obs[label]
    known = LabelNames.of(values)
    others = [name for name in likely_labels(obs, "") if not any(map(is_number, LabelNames.of(obs[name]).names))]
    return (
        *found,
        *name_findings(known, where),
        *number_findings(known, where, others),
        *size_findings(known, label, min_cells=min_cells, others=[name for name in others if name != label]),
    )


def label_column_findings(obs: pd.DataFrame, label: str) -> tuple[Finding, ...]:
    """A column that is not there, or that lacks labels."""
    if label not in obs.columns:
        likely = likely_labels(obs, label)
        return (
            Finding(
                "LABEL_COLUMN_UNKNOWN",
                where="label",
                expected="a column of obs",
                found=f"{label!r}, where obs has {columns_in_words(obs)}",
                remedy=f"Name the column of cell types: {given_as('--label', likely)}."
                if likely
                else "Name the column of cell types with --label; none of these looks like one.",
            ),
        )
    if isinstance(obs[label], pd.DataFrame):
        return (
            Finding(
                "LABEL_COLUMN_UNKNOWN",
                where="label",
                expected="one column of obs",
                found=f"several called {label!r}",
                remedy="Remove all but one of them from obs.",
            ),
        )
    missing = missing_labels(obs[label])
    if not missing.any():
        return ()
    column = f"adata.obs[{label!r}]"
    has_label = f"{column}.notna()" if obs[label].isna().any() else f"{column}.astype(str).str.strip() != ''"
    return (
        Finding(
            "LABEL_MISSING",
            where=f"obs[{label!r}]",
            expected="a label for every cell",
            found=f"{int(missing.sum())} cells without",
            remedy=f"Remove these cells before training: adata = adata[{has_label}].",
            examples=tuple(map(str, obs.index[missing][:N_EXAMPLES])),
        ),
    )


def missing_labels(values: pd.Series) -> np.ndarray:
    """Bool [cells]: no label, or one of nothing but spaces."""
    return np.asarray(numbered(values)[1] < 0)


def size_findings(labels: LabelNames, label: str, *, min_cells: int, others: Sequence[str] = ()) -> tuple[Finding, ...]:
    """Types below the floor, or fewer than two above it. `others`: columns that may hold the types in its place."""
    kept = labels.sizes >= min_cells
    if not len(kept):
        return ()  # that no cell has a label was said already
    if kept.sum() < 2:
        listed = ", ".join(f"{brief(name)} ({size})" for name, size in _listed(labels.names[:10], labels.sizes[:10]))
        if len(labels.names) > 10:
            listed = f"{len(labels.names)} different labels: {listed} and {len(labels.names) - 10} more"
        return (
            Finding(
                "LABEL_ONE_CLASS",
                where=f"obs[{label!r}]",
                expected=f"at least two cell types with {min_cells} cells or more",
                found=listed,
                remedy=f"Name the column of cell types: {given_as('--label', others)}, or lower --min-cells."
                if others
                else "Name another column with --label, or lower --min-cells.",
            ),
        )
    if kept.all():
        return ()
    small = [
        (name, size)
        for (name, size), is_kept in zip(_listed(labels.names, labels.sizes), kept, strict=True)
        if not is_kept
    ]
    return (
        Finding(
            "CELL_TYPES_DROPPED",
            where="label",
            expected=f"at least {min_cells} cells of a type",
            found=", ".join(f"{brief(name)} ({size})" for name, size in small[:50])
            + (f" and {len(small) - 50} more" if len(small) > 50 else ""),
            remedy="These types were removed. Lower --min-cells to keep them.",
            severity="warning",
        ),
    )


def _listed(names: Sequence[str], sizes: np.ndarray) -> Iterable[tuple[str, int]]:
    return ((name, int(size)) for name, size in zip(names, sizes, strict=True))
