"""Types of which the split left too few cells to train on are taken out: nothing could be learned about them."""

from dataclasses import replace

import numpy as np

from cellmark.schemas.checks.check_split import learnable_types
from cellmark.schemas.checks.split import Split

from .labelled_cells import LabelledCells, subset


def drop_untrainable(cells: LabelledCells, split: Split, *, min_cells: int) -> tuple[LabelledCells, Split]:
    """The cells of types that training has enough of (`learnable_types`), and their split.

    The others leave all parts, `dropped` counts them and a note names them. Raises `LabelError` (`SPLIT_IMPOSSIBLE`)
    when fewer than two types, or a part without cells, are left.
    """
    kept_types, split, notes = learnable_types(cells.codes, split, cells.cell_types, min_cells=min_cells)
    kept = kept_types[cells.codes]
    if kept.all():
        return cells, split
    lost = {name: size for name, size in cells.cells_per_type(np.flatnonzero(~kept)).items() if size}
    rows = np.flatnonzero(kept)
    # Where each cell that is kept stands among those that are.
    place = np.cumsum(kept) - 1
    left = replace(
        subset(cells, rows),
        codes=(np.cumsum(kept_types) - 1)[cells.codes[rows]],
        cell_types=tuple(name for name, is_kept in zip(cells.cell_types, kept_types, strict=True) if is_kept),
        dropped={**cells.dropped, **lost},
        notes=(*cells.notes, *notes),
    )
    train, validation, test = (place[part] for part in (split.train, split.validation, split.test))
    return left, replace(split, train=train, validation=validation, test=test)
