"""Types of which the split left too few cells to train on are taken out: nothing could be learned about them."""

from dataclasses import replace

import numpy as np

from cellmark.schemas.errors import Finding, LabelError

from .labelled_cells import LabelledCells, subset
from .split import Split


def enough_cells(left: np.ndarray, there: np.ndarray, *, min_cells: int) -> np.ndarray:
    """Whether each type can be learned from the cells left, bool [types]. `left`, `there`: cells of each type, without
    what was held out and with it.

    At least `min_cells` must be left, or half of a smaller type's cells. Of fewer, the weights that balance the types
    would let a handful of cells steer the whole network: on 740 pancreatic cells, two acinar ones among them, the
    calibration error of all other types rose from 0.006 to 0.28 (docs/benchmarks.md).
    """
    return np.asarray((left > 0) & (left >= np.minimum(min_cells, np.ceil(there / 2))))


def drop_untrainable(cells: LabelledCells, split: Split, *, min_cells: int) -> tuple[LabelledCells, Split]:
    """The cells of types that training has enough of (`enough_cells`), and their split.

    Held out donors may have a type for themselves, or all but a few of its cells. They leave all parts, `dropped`
    counts them and a note names them. Raises `LabelError` (`SPLIT_IMPOSSIBLE`) when fewer than two types, or a part
    without cells, are left.
    """
    n_types = len(cells.cell_types)
    there = np.bincount(cells.codes, minlength=n_types)
    left_types = there - np.bincount(cells.codes[split.test], minlength=n_types)
    in_training = np.bincount(cells.codes[split.train], minlength=n_types)
    kept_types = (in_training > 0) & enough_cells(left_types, there, min_cells=min_cells)
    kept = kept_types[cells.codes]
    parts = [part[kept[part]] for part in (split.train, split.validation, split.test)]
    lost = {name: size for name, size in cells.cells_per_type(np.flatnonzero(~kept)).items() if size}
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
            examples=tuple(lost)[:5],
        )
    if kept.all():
        return cells, split
    listed = ", ".join(
        f"{name} ({left_types[number]} of {there[number]} cells left)"
        for number, name in enumerate(cells.cell_types)
        if name in lost
    )
    note = Finding(
        "CELL_TYPES_DROPPED",
        where="donor",
        expected=f"{min_cells} cells of each type, or half of a smaller one, without the donors held out",
        found=listed,
        remedy="These types were removed from the model and from all measures: a handful of cells, weighted "
        "like a whole "
        "type, would spoil the calls of the others. To keep them, hold out other donors or lower --min-cells.",
        severity="warning",
    )
    rows = np.flatnonzero(kept)
    # Where each cell that is kept stands among those that are.
    place = np.cumsum(kept) - 1
    train, validation, test = (place[part] for part in parts)
    left = replace(
        subset(cells, rows),
        codes=(np.cumsum(kept_types) - 1)[cells.codes[rows]],
        cell_types=tuple(name for name, is_kept in zip(cells.cell_types, kept_types, strict=True) if is_kept),
        dropped={**cells.dropped, **lost},
        notes=(*cells.notes, note),
    )
    return left, replace(split, train=train, validation=validation, test=test)


_PARTS = ("training", "validation", "test")
