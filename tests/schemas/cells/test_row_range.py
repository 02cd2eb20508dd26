"""Some rows of a file: those of the whole, whatever the format, and nothing of the others."""

from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
import zarr

from cellmark.schemas.cells import stored_frame, stored_matrix
from cellmark.schemas.cells.cell_source import CellSource, MemoryCells
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange, slice_cells
from cellmark.schemas.checks.counts_of_genes import counts_of_genes
from cellmark.schemas.checks.log1p_input import take_input
from cellmark.schemas.errors import CountsError, ParameterError, ReadError
from fixtures.stored_cells import N_CELLS, WRITERS, drawn

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


@pytest.mark.parametrize("kind", [kind for kind in WRITERS if "zarr" in kind])
def test_a_large_zarr_is_read_by_rows(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = WRITERS[kind](tmp_path)
    with open_cells(path) as whole:
        monkeypatch.setattr("cellmark.schemas.cells.read_zarr.MOST_LOADED", 10)
        with open_cells(path) as large:
            assert isinstance(large, MemoryCells) == ("csc" in kind)  # which is turned on disk where it is larger still
            same(large, whole, 0, N_CELLS)


@pytest.mark.parametrize("most_held", [10_000, 13 * 20])
@pytest.mark.parametrize(("kind", "name", "chunks"), [("loom", "matrix", (1, 61)), ("h5ad dense", "X", (61, 2))])
def test_long_storage_chunks_are_read_by_genes(
    kind: str, name: str, chunks: tuple[int, int], most_held: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = WRITERS[kind](tmp_path)
    with open_cells(path) as source:
        whole = slice_cells(source, RowRange(0, N_CELLS))
    with h5py.File(path, "a") as file:
        values, attributes = file[name][()], dict(file[name].attrs)
        del file[name]
        file.create_dataset(name, data=values, chunks=chunks, compression="gzip").attrs.update(attributes)
    monkeypatch.setattr("cellmark.schemas.cells.stored_matrix.BLOCK_VALUES", 70)
    monkeypatch.setattr("cellmark.schemas.cells.stored_matrix.MOST_HELD", most_held)
    largest = []
    real = stored_matrix.dense_to_csr

    def seen(block: np.ndarray) -> sp.csr_matrix:
        largest.append(block.size)
        return real(block)

    monkeypatch.setattr(stored_matrix, "dense_to_csr", seen)
    for start, stop in RANGES:
        with open_cells(path, rows=RowRange(start, stop)) as part:
            same(part, whole, start, stop)
    assert max(largest) <= 4 * 70  # dense at once


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


def test_nothing_but_the_rows_is_read(tmp_path: Path) -> None:
    path = WRITERS["h5ad csr"](tmp_path)
    with h5py.File(path, "a") as file:
        file["X/indptr"][50] = 10**6
    with open_cells(path, rows=RowRange(5, 49)) as part:
        np.testing.assert_array_equal(part.load().toarray(), drawn().X.toarray()[5:49])
    for rows in (RowRange(45, 55), RowRange(50, 51), RowRange(0, 50)):
        with pytest.raises(ReadError, match="row pointers"):
            open_cells(path, rows=rows)


@pytest.mark.filterwarnings("ignore:Consolidated metadata")
@pytest.mark.parametrize("kind", ["h5ad csr", "zarr 3 csr"])
def test_columns_that_cannot_be_sliced_are_left_out(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = WRITERS[kind](tmp_path)
    with h5py.File(path, "a") if kind.startswith("h5ad") else nullcontext(zarr.open_group(path, mode="a")) as store:
        store["obs/total"].attrs["encoding-version"] = "9.9.9"
    if kind.startswith("zarr"):
        zarr.consolidate_metadata(path)
    monkeypatch.setattr(stored_frame, "MOST_CATEGORIES", 2)
    with open_cells(path, rows=RowRange(5, 9)) as part:
        assert "cell_type" not in part.obs  # three categories
        assert "total" not in part.obs
        assert {"stage", "year", "share", "text"} < set(part.obs)


@pytest.mark.parametrize("wrong", ["longer", "shorter"])
def test_columns_and_rows_that_differ_in_length_are_refused(wrong: str, tmp_path: Path) -> None:
    path = WRITERS["h5ad csr"](tmp_path)
    with h5py.File(path, "a") as file:
        attributes = dict(file["obs/total"].attrs)
        del file["obs/total"]
        file["obs/total"] = np.arange(N_CELLS + (5 if wrong == "longer" else -5))
        file["obs/total"].attrs.update(attributes)
    with pytest.raises(ReadError, match="values of total"):
        open_cells(path, rows=RowRange(5, 9))


def logarithms() -> ad.AnnData:
    counts = np.random.default_rng(1).poisson(0.7, (N_CELLS, 80))
    X = sp.csr_matrix(np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4))
    return ad.AnnData(X, var=pd.DataFrame(index=[f"G{number}" for number in range(79)] + ["n_counts"]))


def test_sources_around_a_range_know_where_it_is(tmp_path: Path) -> None:
    adata = logarithms()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    rows = RowRange(20, 50)
    with open_cells(tmp_path / "cells.h5ad", rows=rows) as part:
        for around in (take_input(part, "auto"), counts_of_genes(part)):
            assert around is not part
            assert (around.first_row, around.n_total, around.n_obs) == (20, N_CELLS, 30)
    with open_cells(tmp_path / "cells.h5ad", ReadingOptions(recover_counts=True), rows=rows) as part:
        assert (part.first_row, part.n_total, part.n_obs) == (20, N_CELLS, 30)
        with open_cells(tmp_path / "cells.h5ad", ReadingOptions(recover_counts=True)) as whole:
            np.testing.assert_array_equal(part.load().toarray(), whole.load()[20:50].toarray())


def test_a_cell_that_is_no_logarithm_is_named_by_its_row_in_the_file(tmp_path: Path) -> None:
    adata = logarithms()
    adata.write_h5ad(tmp_path / "cells.h5ad")
    with open_cells(tmp_path / "cells.h5ad", rows=RowRange(20, 50)) as part:
        source = take_input(part, "auto")
        part._matrix.data = part._matrix.data[()] * 1.5  # as if the values changed after the sample was drawn
        with pytest.raises(CountsError, match=rf"cell '20' \(row 21 of {N_CELLS}\)"):
            source.load()
