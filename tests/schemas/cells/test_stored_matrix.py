"""Matrices in HDF5 files, however their writer laid them out: the same numbers come out."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.reading import gene_features
from cellmark.schemas.cells.stored_matrix import CsrReader, DenseReader, dense_to_csr

COUNTS = np.random.default_rng(0).poisson(0.3, (50, 40)).astype(np.float32)


def write_csr(file: h5py.File, *, dtype: str = "<f4", chunks: int | None = None) -> h5py.Group:
    X = sp.csr_matrix(COUNTS)
    group = file.create_group("X")
    group.attrs["shape"] = X.shape
    size = (len(X.data) if chunks is None else chunks,)
    group.create_dataset("data", data=X.data.astype(dtype), chunks=size, compression="gzip")
    group.create_dataset("indices", data=X.indices, chunks=size, compression="gzip")
    group.create_dataset("indptr", data=X.indptr)
    return group


@pytest.mark.parametrize("dtype", ["<f2", ">f4", ">i4", "<f8"])
def test_half_precision_and_foreign_byte_order_are_read_as_numbers_that_scipy_takes(tmp_path: Path, dtype: str) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        dense = DenseReader(file.create_dataset("dense", data=COUNTS.astype(dtype)))
        sparse = CsrReader(write_csr(file, dtype=dtype))
        for reader in (dense, sparse):
            X = reader.load()
            np.testing.assert_array_equal((X * 2).toarray(), COUNTS * 2)
            assert X.dtype.isnative


@pytest.mark.parametrize("n_rows", [1, 7, 50, 1000])
@pytest.mark.parametrize("chunks", [3, None])
def test_blocks_joined_are_the_matrix_loaded(tmp_path: Path, n_rows: int, chunks: int | None) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        reader = CsrReader(write_csr(file, chunks=chunks))
        blocks = list(reader.blocks(n_rows))
        joined = np.vstack([block.X.toarray() for block in blocks])
        np.testing.assert_array_equal(joined, COUNTS)
        np.testing.assert_array_equal(reader.load().toarray(), COUNTS)
        starts = np.cumsum([0, *(block.X.shape[0] for block in blocks[:-1])])
        assert [block.start for block in blocks] == starts.tolist()
        assert max(block.X.shape[0] for block in blocks) <= n_rows


def test_the_cache_holds_a_storage_chunk_of_any_size(tmp_path: Path) -> None:
    # Otherwise every block would unpack the whole chunk again: a file of one chunk took ten times as long.
    n_values = 12_000_000
    with h5py.File(tmp_path / "x.h5", "w") as file:
        group = file.create_group("X")
        group.attrs["shape"] = (1, 40)
        for name, dtype in (("data", "f4"), ("indices", "i4")):
            group.create_dataset(name, (n_values,), chunks=(n_values,), dtype=dtype, compression="gzip")
        group["indptr"] = np.array([0, n_values])
    with h5py.File(tmp_path / "x.h5", "r") as file:
        reader = CsrReader(file["X"])
        assert reader.data.id.get_access_plist().get_chunk_cache()[1] >= 4 * n_values


def test_dense_to_csr_is_scipys() -> None:
    block = COUNTS.copy()
    block[3] = 0
    block[4, 5] = np.nan
    ours, theirs = dense_to_csr(block), sp.csr_matrix(block)
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(ours, part), getattr(theirs, part))
    np.testing.assert_array_equal(dense_to_csr(np.asfortranarray(block)).toarray(), block)


def test_features_without_a_type_count_as_genes_where_others_have_one() -> None:
    types = ["Gene Expression", None, "Antibody Capture", np.nan]
    is_gene, notes = gene_features(pd.DataFrame({"feature_types": pd.Categorical(types)}, index=list("abcd")))
    assert is_gene is not None
    assert is_gene.tolist() == [True, True, False, True]
    assert [note.found for note in notes] == ["1 Antibody Capture"]
