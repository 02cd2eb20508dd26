"""What is known of the rows of a file before it is scored, for every format."""

from itertools import pairwise
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells import row_layout
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.stored_rows import stored_rows
from cellmark.schemas.errors import ParameterError, ReadError
from fixtures.stored_cells import N_CELLS, N_GENES, WRITERS, drawn, write_h5ad

ONE_PIECE = ("csv", "matrix market", "h5ad csc", "zarr 3 csc")


@pytest.mark.parametrize("kind", WRITERS)
def test_pieces_of_every_format_cover_its_cells_once(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_layout, "ROWS_AT_ONCE", 10)
    path = WRITERS[kind](tmp_path)
    rows = stored_rows(path, n_values=200, most_rows=20)
    with open_cells(path) as whole:
        X = whole.load()
        assert (rows.n_cells, rows.n_duplicate_ids, rows.duplicate_ids) == (N_CELLS, 0, ())
        assert rows.cuts[0] == 0
        assert rows.cuts[-1] == N_CELLS
        pieces = list(pairwise(rows.cuts))
        if kind in ONE_PIECE:
            assert pieces == [(0, N_CELLS)]
            return
        assert 3 < len(pieces) < 12
        assert all(start < stop <= start + 20 for start, stop in pieces)
        read = []
        for start, stop in pieces:
            with open_cells(path, rows=RowRange(start, stop)) as part:
                read.append(part.load().toarray())
        np.testing.assert_array_equal(np.vstack(read), X.toarray())


def test_values_are_counted_as_they_are_stored(tmp_path: Path) -> None:
    assert stored_rows(write_h5ad(tmp_path), n_values=10, most_rows=10).n_values == drawn().X.nnz
    assert stored_rows(WRITERS["h5ad dense"](tmp_path), n_values=10, most_rows=10).n_values == N_CELLS * N_GENES
    raw = ReadingOptions(layer="raw")
    assert stored_rows(tmp_path / "cells.h5ad", raw, n_values=10, most_rows=10).n_values == N_CELLS * 5
    by_columns = stored_rows(write_h5ad(tmp_path, sp.csc_matrix), n_values=10, most_rows=10)
    assert by_columns.n_values == drawn().X.nnz


@pytest.mark.parametrize("kind", ["h5ad dense", "zarr 3 dense", "zarr 2 dense"])
def test_dense_matrices_are_cut_at_their_storage_chunks(kind: str, tmp_path: Path) -> None:
    assert stored_rows(WRITERS[kind](tmp_path), n_values=250, most_rows=1000).cuts == (0, 16, 32, 48, N_CELLS)


@pytest.mark.filterwarnings("ignore:Observation names")
def test_ids_that_come_twice_in_different_pieces_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_layout, "ROWS_AT_ONCE", 10)
    cells = drawn()
    names = list(cells.obs_names)
    names[55], names[56], names[60] = names[3], names[3], names[20]
    cells.obs_names = names
    cells.write_h5ad(tmp_path / "cells.h5ad")
    rows = stored_rows(tmp_path / "cells.h5ad", n_values=100, most_rows=10)
    assert (rows.n_duplicate_ids, rows.duplicate_ids) == (2, ("cell3", "cell20"))


def test_a_file_without_cells_has_no_pieces(tmp_path: Path) -> None:
    drawn()[:0].copy().write_h5ad(tmp_path / "none.h5ad")
    rows = stored_rows(tmp_path / "none.h5ad", n_values=100, most_rows=10)
    assert (rows.n_cells, rows.cuts) == (0, (0,))


@pytest.mark.parametrize("raw", [False, True])
def test_a_matrix_of_empty_barcodes_is_refused_by_all_its_rows(raw: bool, tmp_path: Path) -> None:
    folder = tmp_path / ("raw_feature_bc_matrix" if raw else "cells")
    folder.mkdir()
    path = WRITERS["10x"](folder)
    with h5py.File(path, "a") as file:
        if not raw:  # a few counts in each cell are few for a matrix of all barcodes only
            first = int(file["matrix/indptr"][20])
            for name in ("data", "indices"):
                values = file[f"matrix/{name}"][:first]
                del file[f"matrix/{name}"]
                file[f"matrix/{name}"] = values
            file["matrix/indptr"][20:] = first
    with pytest.raises(ReadError) as whole:
        open_cells(path)
    with pytest.raises(ReadError) as planned:
        stored_rows(path, n_values=100, most_rows=10)
    assert whole.value.findings == planned.value.findings
    assert planned.value.code == "CELL_EMPTY"


def test_refusals_are_those_of_opening(tmp_path: Path) -> None:
    path = write_h5ad(tmp_path)
    with pytest.raises(ReadError, match="LAYER_UNKNOWN"):
        stored_rows(path, ReadingOptions(layer="missing"), n_values=100, most_rows=10)
    with pytest.raises(ParameterError):
        stored_rows(path, ReadingOptions(genes_by_cells=True), n_values=100, most_rows=10)
    (tmp_path / "text.h5ad").write_text("no HDF5")
    with pytest.raises(ReadError, match="FILE_UNREADABLE"):
        stored_rows(tmp_path / "text.h5ad", n_values=100, most_rows=10)
