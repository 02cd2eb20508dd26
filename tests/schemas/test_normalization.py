"""The one scale against scanpy; row sums and dense chunks against NumPy."""

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.normalization import dense_counts, describe_scale, normalize, row_sums, slice_rows


def draw_counts(n_cells: int = 60, n_genes: int = 80, *, seed: int = 0) -> sp.csr_matrix:
    generator = np.random.default_rng(seed)
    X = sp.random(n_cells, n_genes, 0.3, format="csr", random_state=generator, dtype=np.float32)
    X.data = np.rint(generator.lognormal(1, 2, X.nnz) + 0.5).astype(np.float32)
    return sp.csr_matrix(X)


def test_normalize_equals_scanpy_normalize_total_and_log1p() -> None:
    import scanpy as sc

    counts = draw_counts()
    adata = ad.AnnData(counts.copy())
    sc.pp.normalize_total(adata, target_sum=1e4)
    sc.pp.log1p(adata)
    ours = normalize(counts, row_sums(counts))
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours.toarray(), adata.X.toarray(), rtol=2e-6)


def test_a_panel_is_scaled_by_the_library_over_all_genes() -> None:
    counts = draw_counts()
    whole = normalize(counts, row_sums(counts))
    panel = normalize(counts[:, 10:30], row_sums(counts))
    np.testing.assert_array_equal(panel.toarray(), whole[:, 10:30].toarray())


def test_normalize_changes_nothing_of_its_input() -> None:
    counts = draw_counts()
    before = counts.copy()
    sizes = row_sums(counts)
    normalize(counts, sizes).data[:] = -1
    np.testing.assert_array_equal(counts.toarray(), before.toarray())
    np.testing.assert_array_equal(sizes, row_sums(before))


matrices = st.lists(st.lists(st.sampled_from([0, 0, 0, 1, 7]), min_size=3, max_size=3), min_size=1, max_size=8)


@given(matrices, st.sampled_from([np.float32, np.int64, np.uint8, np.bool_]))
def test_row_sums_equal_numpy_with_empty_rows_anywhere(rows: list[list[int]], dtype: type) -> None:
    dense = np.array(rows).astype(dtype)
    totals = row_sums(sp.csr_matrix(dense))
    assert totals.dtype == np.float64
    np.testing.assert_array_equal(totals, dense.sum(axis=1, dtype=np.float64))


def test_row_sums_of_no_cells_and_no_genes() -> None:
    assert row_sums(sp.csr_matrix((0, 5))).shape == (0,)
    assert row_sums(sp.csr_matrix((3, 0))).tolist() == [0, 0, 0]


def test_row_sums_keep_whole_numbers_that_float32_would_lose() -> None:
    big = sp.csr_matrix(np.array([[2**24, 1, 1]], dtype=np.float32))
    assert row_sums(big).tolist() == [2**24 + 2]


def test_dense_counts_are_nan_exactly_where_a_gene_was_not_measured() -> None:
    counts = draw_counts(5, 4)
    measured = np.array([True, False, True, False])
    counts = sp.csr_matrix(counts.multiply(measured))
    dense = dense_counts(counts, measured)
    assert dense.dtype == np.float32
    assert dense.flags.c_contiguous
    assert np.isnan(dense[:, ~measured]).all()
    np.testing.assert_array_equal(dense[:, measured], counts.toarray()[:, measured])
    assert np.isfinite(dense_counts(counts, np.ones(4, dtype=bool))).all()


def test_dense_counts_can_fill_an_array_again_and_again() -> None:
    counts, measured = draw_counts(5, 4), np.array([True, False, True, True])
    out = np.full((5, 4), 9, dtype=np.float32)
    for seed in range(2):
        counts = draw_counts(5, 4, seed=seed)
        dense = dense_counts(counts, measured, out)
        assert np.shares_memory(dense, out)
        np.testing.assert_array_equal(dense, dense_counts(counts, measured))


@pytest.mark.parametrize("count", [0, 1, 3, 250])
def test_the_manifest_describes_the_formula_that_is_computed(count: int) -> None:
    scale = describe_scale()
    assert scale["log"] == "natural"
    expected = np.log(1 + count / 5000 * scale["counts_per"])
    value = normalize(sp.csr_matrix([[count]]), np.array([5000.0])).toarray()[0, 0]
    assert value == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("positions", [np.int32, np.int64])
@pytest.mark.parametrize(("start", "end"), [(0, 6), (0, 1), (2, 5), (3, 3), (5, 6)])
def test_rows_are_scipys_and_share_the_values(start: int, end: int, positions: type) -> None:
    X = sp.random(6, 9, density=0.4, format="csr", rng=np.random.default_rng(0))
    X.indptr = X.indptr.astype(positions)
    rows = slice_rows(X, start, end)
    np.testing.assert_array_equal(rows.toarray(), X.toarray()[start:end])
    assert rows.nnz == 0 or np.shares_memory(rows.data, X.data)
