"""What training could not learn of labelled cells once they are divided: training asks it, and validate before it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_source import CellSource
from ..errors import Finding, LabelError
from ..genes.gene_panel import PERCENTILE, expressed_genes
from .split import Split, split_cells

_PARTS = ("training", "validation", "test")
SOME_CELLS, IN_SOME = 500, PERCENTILE - 10
"""Cells of a type that are looked at first for genes that it expresses, and the bound that these must pass: a stricter
one, since they are a sample."""


@dataclass(frozen=True)
class SplitOptions:
    """How training divides cells, as `split_cells` has it."""

    hold_out: tuple[str, ...] = ()
    test_share: float = 0.2
    seed: int = 0


@dataclass(frozen=True)
class TypedCells:
    """The cells of types that have enough of them. `kept`: bool [all cells]; `codes`: int [kept cells], numbers of
    `names`; `dropped`: the other types and their cells.
    """

    kept: np.ndarray
    codes: np.ndarray
    names: tuple[str, ...]
    dropped: dict[str, int]


def typed_cells(labels: pd.Series, *, min_cells: int) -> TypedCells:
    """The cells whose type has at least `min_cells`."""
    names, codes = np.unique(labels.astype(str).to_numpy(dtype=str), return_inverse=True)
    sizes = np.bincount(codes, minlength=len(names))
    large = sizes >= min_cells
    kept = large[codes]
    return TypedCells(
        kept,
        (np.cumsum(large) - 1)[codes[kept]],
        tuple(map(str, names[large])),
        {str(name): int(size) for name, size in zip(names[~large], sizes[~large], strict=True)},
    )


def enough_cells(left: np.ndarray, there: np.ndarray, *, min_cells: int) -> np.ndarray:
    """Whether each type can be learned from the cells left, bool [types]. `left`, `there`: cells of each type, without
    what was held out and with it.

    At least `min_cells` must be left, or half of a smaller type's cells. Of fewer, the weights that balance the types
    would let a handful of cells steer the whole network: on 740 pancreatic cells, two acinar ones among them, the
    calibration error of all other types rose from 0.006 to 0.28 (docs/benchmarks.md).
    """
    return np.asarray((left > 0) & (left >= np.minimum(min_cells, np.ceil(there / 2))))


def learnable_types(
    codes: np.ndarray, split: Split, names: Sequence[str], *, min_cells: int
) -> tuple[np.ndarray, Split, tuple[Finding, ...]]:
    """The types that training has enough cells of (`enough_cells`), bool [types], the split without the others, in the
    same cell numbers, and the note that names these.

    Held out donors may have a type for themselves, or all but a few of its cells. Raises `LabelError`
    (`SPLIT_IMPOSSIBLE`) when fewer than two types, or a part without cells, are left.
    """
    n_types = len(names)
    there = np.bincount(codes, minlength=n_types)
    left_types = there - np.bincount(codes[split.test], minlength=n_types)
    in_training = np.bincount(codes[split.train], minlength=n_types)
    kept_types = (in_training > 0) & enough_cells(left_types, there, min_cells=min_cells)
    kept = kept_types[codes]
    parts = [part[kept[part]] for part in (split.train, split.validation, split.test)]
    lost = np.flatnonzero(~kept_types & (there > 0)).tolist()
    # A split made without a test part has nothing to lose there.
    needed = [part for part, before in zip(parts, (True, True, len(split.test)), strict=True) if before]
    if kept_types.sum() < 2 or not all(len(part) for part in needed):
        sizes = ", ".join(f"{len(part)} for {name}" for name, part in zip(_PARTS, parts, strict=True))
        raise LabelError.of(
            "SPLIT_IMPOSSIBLE",
            where="label",
            expected="two types or more with cells to train, validate and test on",
            found=f"{int(kept_types.sum())} types with enough training cells; cells: {sizes}",
            remedy="Hold out other donors, or omit --donor to split by cells.",
            examples=tuple(str(names[number]) for number in lost[:5]),
        )
    train, validation, test = parts
    if not lost:
        return kept_types, split, ()
    listed = ", ".join(f"{names[number]} ({left_types[number]} of {there[number]} cells left)" for number in lost)
    note = Finding(
        "CELL_TYPES_DROPPED",
        where="donor",
        expected=f"{min_cells} cells of each type, or half of a smaller one, without the donors held out",
        found=listed,
        remedy="To keep these types, hold out other donors or lower --min-cells. They were removed from the model and "
        "from all measures: a handful of cells, weighted like a whole type, would spoil the calls of the others.",
        severity="warning",
    )
    return kept_types, replace(split, train=train, validation=validation, test=test), (note,)


def split_findings(
    obs: pd.DataFrame, *, label: str, donor: str | None, min_cells: int, options: SplitOptions
) -> tuple[tuple[Finding, ...], Split | None, TypedCells]:
    """What training would refuse or leave out when it divides these cells, of sound columns `label` and `donor`.

    Also the split, None where there is none, and the cells that it numbers.
    """
    cells = typed_cells(obs[label], min_cells=min_cells)
    donors = obs[donor].astype(str).to_numpy(dtype=str)[cells.kept] if donor is not None else None
    try:
        split = split_cells(
            cells.codes, donors, hold_out=options.hold_out, test_share=options.test_share, seed=options.seed
        )
        _, split, found = learnable_types(cells.codes, split, cells.names, min_cells=min_cells)
    except LabelError as error:
        return error.findings, None, cells
    return found, split, cells


def panel_findings(
    source: CellSource, cells: TypedCells, split: Split, library_size: np.ndarray
) -> tuple[Finding, ...]:
    """The error of cells of which no type expresses genes for a panel. `library_size`: [all cells].

    Some cells of the smallest type nearly always show two such genes; all cells are read only where none of any does.
    """
    codes, kept = cells.codes[split.train], np.flatnonzero(cells.kept)
    of_types = [kept[split.train[codes == code]] for code in range(len(cells.names))]
    of_types.sort(key=len)
    expressed = np.zeros(source.n_vars, dtype=bool)
    for rows in of_types:
        some = rows[:: -(-len(rows) // SOME_CELLS) or 1]
        expressed |= _expressed(source.take(some), library_size[some], IN_SOME)
        if expressed.sum() > 1:
            return ()
    X = source.load()
    expressed = np.any([_expressed(X[rows], library_size[rows], PERCENTILE) for rows in of_types], axis=0)
    return () if expressed.sum() > 1 else (panel_empty(int(expressed.sum())),)


def _expressed(X: sp.csr_matrix, library_size: np.ndarray, percentile: float) -> np.ndarray:
    """See `expressed_genes`, of the cells of one type."""
    if not X.shape[0]:
        return np.zeros(X.shape[1], dtype=bool)
    return expressed_genes(X, library_size, np.zeros(X.shape[0], dtype=int), percentile=percentile)


def panel_empty(n_genes: int) -> Finding:
    """The error of training cells of which too few genes pass the filter of the panel."""
    return Finding(
        "PANEL_EMPTY",
        where="data",
        expected="genes that at least one type expresses",
        found=f"{n_genes} genes",
        remedy="Check that the counts are raw and that the labels belong to the cells.",
    )
