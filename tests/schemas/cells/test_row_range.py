"""Some rows of a file: those of the whole, whatever the format, and nothing of the others."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.errors import ParameterError
from fixtures.stored_cells import N_CELLS, WRITERS

RANGES = [(0, 1), (0, 61), (60, 61), (5, 40), (16, 33)]


def same(part: CellSource, whole: CellSource, start: int, stop: int) -> None:
    """`part` is rows `start` to `stop` of `whole`, in all that a source says."""
    expected = whole.load()[start:stop]
    assert (part.first_row, part.n_total, part.n_obs, part.n_vars) == (start, whole.n_obs, stop - start, whole.n_vars)
    for n_rows in (1, 4, 1000):
        chunks = list(part.chunks(n_rows))
        assert [chunk.start for chunk in chunks] == list(np.cumsum([0, *(c.X.shape[0] for c in chunks)])[:-1])
        assert all(0 < chunk.X.shape[0] <= n_rows for chunk in chunks)
        np.testing.assert_array_equal(np.vstack([chunk.X.toarray() for chunk in chunks]), expected.toarray())
    np.testing.assert_array_equal(part.load().toarray(), expected.toarray())
    assert part.load().dtype == expected.dtype
    some = np.arange(0, stop - start, 3)
    np.testing.assert_array_equal(part.take(some).toarray(), expected[some].toarray())
    assert list(part.cell_ids) == list(whole.cell_ids[start:stop])
    pd.testing.assert_frame_equal(part.obs, whole.obs.iloc[start:stop])
    pd.testing.assert_frame_equal(part.var, whole.var)
    assert (part.name, part.counts_from, part.uns, part.notes) == (
        whole.name,
        whole.counts_from,
        whole.uns,
        whole.notes,
    )
    assert [(o.layer, o.where) for o in part.others] == [(o.layer, o.where) for o in whole.others]
    for ours, theirs in zip(part.others, whole.others, strict=True):
        np.testing.assert_array_equal(ours.take(some).toarray(), theirs.take(some + start).toarray())


@pytest.fixture(scope="module", params=WRITERS)
def stored(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Path, CellSource]]:
    path = WRITERS[request.param](tmp_path_factory.mktemp("stored"))
    with open_cells(path) as whole:
        yield path, whole


@pytest.mark.parametrize(("start", "stop"), RANGES)
def test_a_range_is_the_slice_of_the_whole(stored: tuple[Path, CellSource], start: int, stop: int) -> None:
    path, whole = stored
    with open_cells(path, rows=RowRange(start, stop)) as part:
        same(part, whole, start, stop)


@pytest.mark.parametrize("layer", ["doubled", "raw"])
@pytest.mark.parametrize("kind", ["h5ad csr", "h5ad dense", "zarr 2 csr", "zarr 3 dense"])
def test_a_range_of_another_matrix(kind: str, layer: str, tmp_path: Path) -> None:
    path = WRITERS[kind](tmp_path)
    reading = ReadingOptions(layer=layer)
    with open_cells(path, reading) as whole, open_cells(path, reading, rows=RowRange(11, 50)) as part:
        same(part, whole, 11, 50)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (5, 5), (6, 5), (-1, 5)])
def test_a_range_without_cells_is_refused(start: int, stop: int) -> None:
    with pytest.raises(ParameterError, match=f"found {start} to {stop}"):
        RowRange(start, stop)


@pytest.mark.parametrize(("start", "stop"), [(0, 62), (61, 62), (500, 501), (0, 2**62)])
def test_a_range_beyond_the_end_is_refused(stored: tuple[Path, CellSource], start: int, stop: int) -> None:
    with pytest.raises(ParameterError, match="61 cells of the input"):
        open_cells(stored[0], rows=RowRange(start, stop))


def test_a_whole_file_begins_at_its_first_row(stored: tuple[Path, CellSource]) -> None:
    assert (stored[1].first_row, stored[1].n_total) == (0, N_CELLS)
