import errno
import os
import signal
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.cells import turn_on_disk
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.cells.turn_on_disk import GROUP, StoredColumns, open_turned, turn
from cellmark.schemas.errors import ReadError

STAMP = {"path": "/cells.h5ad", "matrix": "X", "bytes": 5}


def columns_of(X: sp.csc_matrix) -> StoredColumns:
    return StoredColumns(X.data, X.indices, X.indptr.astype(np.int64), X.shape)


def example(seed: int = 0, *, shape: tuple[int, int] = (300, 80), density: float = 0.1) -> sp.csc_matrix:
    X = sp.random(*shape, density=density, format="csc", random_state=np.random.default_rng(seed), dtype=np.float32)
    X.data = np.ceil(X.data * 9)
    return X


def by_rows(file: h5py.File) -> sp.csr_matrix:
    group = file[GROUP]
    return sp.csr_matrix(tuple(group[name][()] for name in ("data", "indices", "indptr")), shape=group.attrs["shape"])


def assert_same_parts(found: sp.csr_matrix, expected: sp.csr_matrix) -> None:
    assert found.shape == expected.shape
    assert found.data.dtype == expected.data.dtype
    for part in ("indptr", "indices", "data"):
        np.testing.assert_array_equal(getattr(found, part), getattr(expected, part))


@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 30)),
    density=st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    dtype=st.sampled_from([np.float32, np.float64, np.int64, np.uint8, np.bool_]),
    budget=st.sampled_from([1, 300, 5_000, 10**6]),
    shuffled=st.booleans(),
    seed=st.integers(0, 2**31),
)
def test_turned_equals_scipy(shape, density, dtype, budget, shuffled, seed):
    """Any number of buckets and blocks, rows and columns without values, rows of a column in any order."""
    rng = np.random.default_rng(seed)
    X = sp.csc_matrix(rng.random(shape) < density, dtype=np.float32)
    X = sp.csc_matrix((rng.integers(0, 2, X.nnz).astype(dtype), X.indices, X.indptr), shape=shape)
    if shuffled:
        for start, end in zip(X.indptr[:-1], X.indptr[1:], strict=True):
            X.indices[start:end] = rng.permutation(X.indices[start:end])
    with tempfile.TemporaryFile(buffering=0) as scratch:
        turn(columns_of(X), scratch, Path(tempfile.gettempdir()), budget=budget)
        with h5py.File(scratch, "r") as file:
            assert_same_parts(by_rows(file), X.tocsr())


def test_entries_stored_twice_stay_two_in_their_order():
    X = sp.csc_matrix((np.array([1.0, 2, 4, 8]), np.array([1, 1, 0, 1]), np.array([0, 2, 4])), shape=(2, 2))
    with open_turned(columns_of(X), turned=None, stamp={}, name="cells") as file:
        found = by_rows(file)
    assert found.data.tolist() == [4, 1, 2, 8]
    assert found.indices.tolist() == [1, 0, 0, 1]


def test_half_precision_and_foreign_byte_order_become_types_that_scipy_knows():
    X = example()
    for dtype, expected in (("<f2", np.float32), (">f4", np.float32), (">i8", np.int64)):
        columns = StoredColumns(X.data.astype(dtype), X.indices.astype(">i4"), X.indptr.astype(np.int64), X.shape)
        with open_turned(columns, turned=None, stamp={}, name="cells") as file:
            assert_same_parts(by_rows(file), X.astype(expected).tocsr())


def test_without_a_folder_nothing_has_a_name(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with open_turned(columns_of(example()), turned=None, stamp=STAMP, name="cells"):
        assert list(tmp_path.iterdir()) == []


def test_a_folder_keeps_the_matrix_for_later_opens(tmp_path, monkeypatch):
    X = example()
    with open_turned(columns_of(X), turned=tmp_path, stamp=STAMP, name="cells") as file:
        assert_same_parts(by_rows(file), X.tocsr())
    monkeypatch.setattr(turn_on_disk, "turn", lambda *_: pytest.fail("turned again"))
    with open_turned(columns_of(X), turned=tmp_path, stamp=STAMP, name="cells") as file:
        assert_same_parts(by_rows(file), X.tocsr())


def test_another_stamp_is_another_matrix(tmp_path):
    with open_turned(columns_of(example(0)), turned=tmp_path, stamp=STAMP, name="cells"):
        pass
    changed = example(1)
    with open_turned(columns_of(changed), turned=tmp_path, stamp={**STAMP, "bytes": 6}, name="cells") as file:
        assert_same_parts(by_rows(file), changed.tocsr())


def test_a_damaged_one_is_made_again(tmp_path):
    X = example()
    open_turned(columns_of(X), turned=tmp_path, stamp=STAMP, name="cells").close()
    (made,) = tmp_path.glob("*.h5")
    os.truncate(made, made.stat().st_size // 2)
    with open_turned(columns_of(X), turned=tmp_path, stamp=STAMP, name="cells") as file:
        assert_same_parts(by_rows(file), X.tocsr())


def test_a_process_killed_in_the_middle_leaves_no_half_matrix(tmp_path):
    program = f"""
import os, signal
from pathlib import Path
from cellmark.schemas.cells import turn_on_disk as t
import numpy as np
t._put_in_order = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
c = t.StoredColumns(np.ones(3, np.float32), np.array([0, 1, 1]), np.array([0, 2, 3]), (2, 2))
t.open_turned(c, turned=Path({str(tmp_path)!r}), stamp={STAMP!r}, name="cells")
"""
    ended = subprocess.run([sys.executable, "-c", program], check=False)
    assert ended.returncode == -signal.SIGKILL
    assert not list(tmp_path.glob("*.h5"))
    X = sp.csc_matrix((np.ones(3, np.float32), np.array([0, 1, 1]), np.array([0, 2, 3])), shape=(2, 2))
    with open_turned(columns_of(X), turned=tmp_path, stamp=STAMP, name="cells") as file:
        assert_same_parts(by_rows(file), X.tocsr())
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".h5", ".lock"]


def test_a_disk_without_room_is_said_before_anything_is_read(monkeypatch):
    usage = type(turn_on_disk.shutil.disk_usage("/"))
    monkeypatch.setattr(turn_on_disk.shutil, "disk_usage", lambda _: usage(10**9, 10**9 - 10**6, 10**6))
    monkeypatch.setattr(StoredColumns, "rows", lambda *_: pytest.fail("read"))
    with pytest.raises(ReadError, match="TMPDIR") as refused:
        open_turned(columns_of(example()), turned=None, stamp={}, name="cells.h5ad")
    assert refused.value.code == "SCRATCH_FULL"


def test_a_disk_that_fills_up_meanwhile_leaves_nothing(tmp_path, monkeypatch):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(turn_on_disk.os, "pwrite", full)
    with pytest.raises(ReadError, match="No space left"):
        open_turned(columns_of(example()), turned=tmp_path, stamp=STAMP, name="cells.h5ad")
    assert [path.suffix for path in tmp_path.iterdir()] == [".lock"]


@pytest.mark.parametrize("wrong", [{"indices": 1000}, {"indices": -1}, {"indptr": 3}])
def test_parts_that_do_not_fit_are_refused(tmp_path, wrong):
    X = example()
    indices, indptr = X.indices.copy(), X.indptr.astype(np.int64)
    indices[7] = wrong.get("indices", indices[7])
    indptr = np.roll(indptr, wrong.get("indptr", 0))
    with pytest.raises(ValueError, match="of the sparse matrix"):
        open_turned(StoredColumns(X.data, indices, indptr, X.shape), turned=tmp_path, stamp=STAMP, name="cells")


@pytest.fixture
def csc_h5ad(tmp_path, monkeypatch):
    """A file whose matrix and layer lie by columns, large enough to be turned."""
    monkeypatch.setattr(turn_on_disk, "MOST_LOADED", 10)
    monkeypatch.setattr(turn_on_disk, "FEW", 10)
    X = example()
    adata = ad.AnnData(X, layers={"doubled": sp.csc_matrix(X * 2)})
    adata.write_h5ad(tmp_path / "cells.h5ad", compression="gzip")
    return tmp_path / "cells.h5ad"


@pytest.mark.parametrize("layer", [None, "doubled"])
def test_a_file_by_columns_is_read_by_rows(csc_h5ad, layer):
    expected = (example() * (2 if layer else 1)).tocsr()
    with open_cells(csc_h5ad, ReadingOptions(layer=layer)) as source:
        assert type(source._matrix).__name__ == "CsrReader"
        assert_same_parts(source.load(), expected)
        assert_same_parts(source.take(np.array([3, 200])), expected[[3, 200]])
    with open_cells(csc_h5ad, ReadingOptions(layer=layer), rows=RowRange(50, 70)) as source:
        assert_same_parts(source.load(), expected[50:70])


def test_shards_share_a_turned_matrix(csc_h5ad, monkeypatch):
    folder = csc_h5ad.parent / "turned"
    for start in (0, 100, 200):
        with open_cells(csc_h5ad, rows=RowRange(start, start + 100), turned=folder) as source:
            assert_same_parts(source.load(), example().tocsr()[start : start + 100])
        monkeypatch.setattr(turn_on_disk, "turn", lambda *_: pytest.fail("turned again"))
    assert len(list(folder.glob("*.h5"))) == 1


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_store_by_columns_is_read_by_rows(csc_h5ad, zarr_format):
    path, folder, expected = csc_h5ad.with_suffix(".zarr"), csc_h5ad.parent / "turned", example().tocsr()
    with (
        ad.settings.override(zarr_write_format=zarr_format, auto_shard_zarr_v3=zarr_format == 3),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")  # of consolidated metadata
        ad.read_h5ad(csc_h5ad).write_zarr(path)
    for turned in (None, folder):
        with open_cells(path, rows=RowRange(50, 70), turned=turned) as source:
            assert_same_parts(source.load(), expected[50:70])
            assert source.n_total == 300
    with open_cells(path, ReadingOptions(layer="doubled"), rows=RowRange(0, 300), turned=folder) as source:
        assert_same_parts(source.load(), (expected * 2).tocsr())
    assert len(list(folder.glob("*.h5"))) == 2
    (missing,) = [file for file in (path / "X" / "data").rglob("*") if file.is_file() and file.name == "0"]
    missing.unlink()
    with pytest.raises(ReadError, match="missing"):
        open_cells(path, rows=RowRange(50, 70))


def test_without_scratch_it_is_loaded(csc_h5ad, monkeypatch):
    monkeypatch.setattr(turn_on_disk, "turn", lambda *_: pytest.fail("turned"))
    with open_cells(csc_h5ad, limits=ReadLimits(max_scratch_bytes=100)) as source:
        assert_same_parts(source.load(), example().tocsr())
