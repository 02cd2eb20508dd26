"""Where rows are cut: all of them once, in pieces of about the size that was asked for."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import pytest

from cellmark.schemas.cells.row_layout import RowLayout, cut_rows


def no_ids(rows: slice) -> list[str]:
    raise AssertionError


def by_rows(lengths: np.ndarray, block: int) -> RowLayout:
    ends = np.cumsum(lengths)

    def blocks() -> Iterable[np.ndarray]:
        return (ends[start : start + block] for start in range(0, len(ends), block))

    return RowLayout(int(ends[-1]), no_ids, ends=blocks)


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("n_values", [1, 5, 90, 400, 10**9])
@pytest.mark.parametrize("most_rows", [1, 3, 50, 10**9])
def test_pieces_are_full_at_the_row_that_fills_them(block: int, n_values: int, most_rows: int) -> None:
    lengths = np.random.default_rng(0).integers(0, 12, 300)
    lengths[100:140] = 0
    lengths[150] = 1000
    cuts = cut_rows(by_rows(lengths, block), 300, n_values=n_values, most_rows=most_rows)
    assert cuts[0] == 0
    assert cuts[-1] == 300
    assert all(start < stop <= start + most_rows for start, stop in pairwise(cuts))
    # A piece without its last row is not full yet.
    assert all(lengths[start : stop - 1].sum() < n_values for start, stop in pairwise(cuts))
    assert cuts == cut_rows(by_rows(lengths, 300), 300, n_values=n_values, most_rows=most_rows)


def test_pieces_are_alike_in_size() -> None:
    cuts = cut_rows(by_rows(np.full(1000, 10), 100), 1000, n_values=3400, most_rows=1000)
    assert cuts == [0, 334, 668, 1000]


@pytest.mark.parametrize(
    ("n_values", "most_rows", "expected"),
    [
        (10**9, 10**9, [0, 100]),
        (10 * 30, 10**9, [0, 16, 32, 48, 64, 80, 96, 100]),
        (10 * 70, 10**9, [0, 64, 100]),
        (10 * 70, 40, [0, 32, 64, 96, 100]),
        (10, 10**9, [0, 16, 32, 48, 64, 80, 96, 100]),  # never less than a chunk ...
        (10, 30, [0, 16, 32, 48, 64, 80, 96, 100]),
        (10**9, 15, [0, 15, 30, 45, 60, 75, 90, 100]),  # ... but where rows are limited
    ],
)
def test_dense_matrices_are_cut_between_storage_chunks(n_values: int, most_rows: int, expected: list[int]) -> None:
    layout = RowLayout(1000, no_ids, steps=(16,))
    assert cut_rows(layout, 100, n_values=n_values, most_rows=most_rows) == expected


def test_what_cannot_be_cut_is_one_piece_and_nothing_is_none() -> None:
    assert cut_rows(RowLayout(None, no_ids), 100, n_values=1, most_rows=1) == [0, 100]
    assert cut_rows(RowLayout(0, no_ids, steps=(16,)), 0, n_values=1, most_rows=1) == [0]
    assert cut_rows(by_rows(np.zeros(5, dtype=int), 2), 5, n_values=9, most_rows=9) == [0, 5]
