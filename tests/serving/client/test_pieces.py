"""Bodies hold the same numbers in fewer bytes, and no piece holds more values than it may."""

import io

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as drawn

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.serving.client import pieces
from cellmark.serving.client.pieces import Packing, npz_body, smallest


@given(drawn.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.int32]), st.integers(0, 9)))
def test_smaller_types_hold_the_same_numbers(values: np.ndarray) -> None:
    short = smallest(values)
    np.testing.assert_array_equal(short.astype(values.dtype), values)
    assert short.dtype.itemsize <= values.dtype.itemsize


def test_counts_take_a_byte_each_and_logarithms_stay() -> None:
    assert smallest(np.array([0, 255], dtype=np.float32)).dtype == np.uint8
    assert smallest(np.array([0, 256], dtype=np.int64)).dtype == np.uint16
    assert smallest(np.array([0.5], dtype=np.float32)).dtype == np.float32
    assert smallest(np.array([-1], dtype=np.int64)).dtype == np.int64
    assert smallest(np.array([np.nan, 1], dtype=np.float32)).dtype == np.float32


def cells(n_obs: int) -> MemoryCells:
    X = sp.random(n_obs, 30, density=0.4, format="csr", dtype=np.float32, random_state=1)
    X.data = np.ceil(X.data * 9)
    obs = pd.DataFrame(index=[f"c{number}" for number in range(n_obs)])
    return MemoryCells(X, np.array([f"g{number}" for number in range(30)]), obs)


@pytest.mark.parametrize("most_values", [1, 25, 60, 10**6])
@pytest.mark.parametrize("chunk", [1, 4, 100])
def test_pieces_hold_all_cells_once_and_few_values(
    most_values: int, chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pieces, "MOST_VALUES", most_values)
    source = cells(23)
    of_source = source.chunks
    monkeypatch.setattr(source, "chunks", lambda n_rows: of_source(min(n_rows, chunk)), raising=False)
    found = list(Packing(source, np.arange(23.0), ()).pieces(8))
    rows, sizes, ids = [], [], []
    for piece in found:
        assert piece.sent.content is not None
        with np.load(io.BytesIO(piece.sent.content), allow_pickle=False) as held:
            assert piece.n_cells == len(held["cell_ids"]) <= 8
            assert piece.n_cells == 1 or len(held["data"]) <= most_values
            indptr = held["indptr"].astype(np.int64)
            indices = held["indices"].astype(np.int64)
            rows.append(sp.csr_matrix((held["data"].astype(np.float32), indices, indptr), shape=(piece.n_cells, 30)))
            sizes += held["library_sizes"].tolist()
            ids += held["cell_ids"].tolist()
    assert (sp.vstack(rows) != source.X).nnz == 0
    assert sizes == list(range(23))
    assert ids == source.cell_ids.tolist()
    assert found[0].start == 0
    assert [piece.start for piece in found[1:]] == np.cumsum([piece.n_cells for piece in found])[:-1].tolist()


def test_a_body_leaves_the_matrix_as_it_was() -> None:
    X = sp.csr_matrix((np.array([1.0, 2.0, 3.0]), np.array([2, 0, 2]), np.array([0, 3])), shape=(1, 3))
    before = X.indices.copy()
    npz_body(X, np.array(["a", "b", "c"]), np.array(["x"]), None)
    np.testing.assert_array_equal(X.indices, before)
