"""How the rows of an input lie in its file: where it can be cut so that each piece is read by itself."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

ROWS_AT_ONCE = 50_000
"""Rows whose pointers or ids are in memory together."""


def no_check() -> None:
    """Nothing is to be said of all rows together."""


@dataclass(frozen=True, slots=True)
class RowLayout:
    """`n_values`: stored in the matrix, of a dense one all. `ids`: those of some rows. `ends`: the number of values up
    to the end of each row, rising, in blocks, of a matrix that is stored by rows. `steps`: rows of one shard and of one
    storage chunk, of a dense matrix. Without both it cannot be cut. `check`: raises what can only be said of all rows
    together.
    """

    n_values: int | None
    ids: Callable[[slice], Any]
    ends: Callable[[], Iterable[np.ndarray]] | None = None
    steps: tuple[int, ...] = ()
    check: Callable[[], None] = no_check


def blocks_of_rows(n_rows: int) -> list[slice]:
    return [slice(start, min(start + ROWS_AT_ONCE, n_rows)) for start in range(0, n_rows, ROWS_AT_ONCE)]


def cut_rows(layout: RowLayout, n_rows: int, *, n_values: int, most_rows: int) -> list[int]:
    """Row numbers from 0 to `n_rows`, rising: pieces of about `n_values` values, alike in size, and at most `most_rows`
    rows.
    """
    if not n_rows:
        return [0]
    n_stored = layout.n_values or 0
    if layout.steps:
        wanted = min(max(n_values * n_rows // max(n_stored, 1), 1), most_rows, n_rows)
        stored = next((step for step in layout.steps if step <= wanted), layout.steps[-1])
        step = wanted if wanted == n_rows else wanted // stored * stored or min(stored, most_rows)
        return [*range(0, n_rows, step), n_rows]
    if layout.ends is None:
        return [0, n_rows]
    n_pieces = max(-(-n_stored // n_values), 1)
    return _cut(layout.ends(), max(-(-n_stored // n_pieces), 1), most_rows)


def _cut(blocks: Iterable[np.ndarray], most_values: int, most_rows: int) -> list[int]:
    cuts, first, row = [0], 0, 0
    for ends in blocks:
        while True:
            # The row by which the piece is full.
            last = min(int(np.searchsorted(ends, first + most_values)), cuts[-1] + most_rows - 1 - row)
            if last >= len(ends):
                break
            cuts.append(row + last + 1)
            first = int(ends[last])
        row += len(ends)
    return cuts if cuts[-1] == row else [*cuts, row]
