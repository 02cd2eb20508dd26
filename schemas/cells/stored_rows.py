"""How many cells an input has, where it can be cut into pieces, and whether ids come twice: asked before it is scored.

Each piece is opened by its rows (`RowRange`). Nothing that grows with the file is kept, beyond eight bytes for a cell.
"""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from ..errors import ParameterError
from .cell_source import CellSource
from .duplicate_ids import find_duplicates
from .read import open_cells, reads_by_rows
from .read_limits import NO_LIMITS, ReadLimits
from .reading import reading as reading_file
from .reading_options import AS_IT_IS, ReadingOptions
from .row_layout import RowLayout, blocks_of_rows, cut_rows
from .row_range import RowRange

N_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class StoredRows:
    """`n_values`: stored in the matrix, of a dense one all, None where that is not known. `cuts`: numbers of cells,
    rising from 0 to `n_cells`, between which the pieces lie; only 0 where there are no cells. `n_duplicate_ids`: ids
    that occur more than once; `duplicate_ids`: some of them.
    """

    n_cells: int
    n_values: int | None
    cuts: tuple[int, ...]
    n_duplicate_ids: int
    duplicate_ids: tuple[str, ...]


def stored_rows(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    n_values: int,
    most_rows: int,
    limits: ReadLimits = NO_LIMITS,
) -> StoredRows:
    """The rows of an input, cut into pieces of about `n_values` stored values and at most `most_rows` rows.

    They are cut where its storage chunks end, of a dense matrix; what can only be read whole is one piece. Raises as
    `open_cells`, of the values only what shows without reading them.
    """
    opened = _open(Path(path), replace(reading, recover_counts=False), limits)
    with opened as source, reading_file(Path(path), "a file of cells"):
        layout = source.layout or _of_whole(source)
        layout.check()
        n_cells = source.n_total
        cuts = cut_rows(layout, n_cells, n_values=n_values, most_rows=most_rows)
        if cuts[-1] != n_cells:
            raise ValueError(f"{cuts[-1]} rows of {n_cells} cells")

        def ids() -> Iterator[np.ndarray]:
            for rows in blocks_of_rows(n_cells):
                yield np.array([str(cell_id) for cell_id in layout.ids(rows)], dtype=object)

        n_duplicates, examples = find_duplicates(ids, n_cells, n_examples=N_EXAMPLES)
    return StoredRows(n_cells, layout.n_values, tuple(cuts), n_duplicates, tuple(examples))


def _open(path: Path, reading: ReadingOptions, limits: ReadLimits) -> CellSource:
    if reads_by_rows(path):
        with suppress(ParameterError):  # of a file without cells, or another one, which the whole file has too
            source = open_cells(path, reading, limits=limits, rows=RowRange(0, 1))
            if source.layout is not None:
                return source
            source.close()
    return open_cells(path, reading, limits=limits)


def _of_whole(source: CellSource) -> RowLayout:
    X = getattr(source, "X", None)
    return RowLayout(None if X is None else int(X.nnz), lambda rows: source.cell_ids[rows])
