"""The tables that Great Expectations looks at, against scanpy's quality metrics and against plain NumPy."""

import tracemalloc
import warnings

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.quality.quality_table import (
    CELL_COLUMNS,
    SAMPLE_COLUMNS,
    QualityAccumulator,
    cell_quality,
    find_mitochondrial,
    sample_quality,
)

GENES = np.array(["CD3E", "MT-CO1", "MS4A1", "MTOR", "MT-ND1", "LYZ"])
PANEL = np.array([True, True, False, False, False, True])


def some_counts(n_cells: int, n_genes: int, *, density: float = 0.3, seed: int = 0) -> sp.csr_matrix:
    rng = np.random.default_rng(seed)
    X = sp.random(n_cells, n_genes, density, format="csr", random_state=rng, dtype=np.float32)
    X.data = rng.integers(1, 40, X.nnz).astype(np.float32)
    return sp.csr_matrix(X)


def quality_of(X: sp.csr_matrix, **changes: object) -> pd.DataFrame:
    arguments: dict[str, object] = {
        "cell_ids": [f"cell-{number}" for number in range(X.shape[0])],
        "library_size": np.asarray(X.sum(axis=1, dtype=np.float64)).ravel(),
        "panel_columns": PANEL,
        "mitochondrial_columns": find_mitochondrial(GENES),
    }
    return cell_quality(X, **(arguments | changes))  # type: ignore[arg-type]


def test_cell_quality_equals_scanpy_qc_metrics() -> None:
    import scanpy as sc

    X = some_counts(200, len(GENES))
    adata = ad.AnnData(X.copy(), obs=pd.DataFrame(index=[f"cell-{n}" for n in range(200)]))
    adata.var_names = list(GENES)
    adata.var["mt"] = adata.var_names.str.startswith("MT-")
    adata.var["panel"] = PANEL
    expected, _ = sc.pp.calculate_qc_metrics(adata, qc_vars=["mt", "panel"], percent_top=None, log1p=False)
    table = quality_of(X)
    assert tuple(table.columns) == CELL_COLUMNS
    assert table["cell_id"].tolist() == adata.obs_names.tolist()
    np.testing.assert_array_equal(table["total_counts"], expected["total_counts"])
    np.testing.assert_array_equal(table["genes_detected"], expected["n_genes_by_counts"])
    np.testing.assert_allclose(table["mitochondrial_fraction"], expected["pct_counts_mt"] / 100, rtol=1e-5)
    np.testing.assert_allclose(table["panel_fraction"], expected["pct_counts_panel"] / 100, rtol=1e-5)


def test_fractions_are_of_the_library_size_that_was_given() -> None:
    X = sp.csr_matrix(np.array([[10, 5, 0, 0, 5, 0]], dtype=np.float32))
    table = quality_of(X, library_size=np.array([100.0]))
    assert table.loc[0, ["total_counts", "panel_fraction", "mitochondrial_fraction"]].tolist() == [100.0, 0.15, 0.1]


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64])
def test_sums_do_not_overflow_the_type_of_the_counts(dtype: type) -> None:
    X = sp.csr_matrix(np.full((1, 6), 120), dtype=dtype)
    table = quality_of(X, library_size=np.array([720.0]))
    assert table["panel_fraction"].tolist() == [0.5]
    assert table["genes_detected"].tolist() == [6]


def test_stored_zeros_and_empty_cells_are_not_detected_genes() -> None:
    X = sp.csr_matrix(np.array([[1, 0, 2, 0, 0, 0], [0] * 6, [0, 0, 0, 3, 0, 0]], dtype=np.float32))
    stored_zero = X.copy()
    stored_zero.data[0] = 0
    assert quality_of(X)["genes_detected"].tolist() == [2, 0, 1]
    assert quality_of(stored_zero)["genes_detected"].tolist() == [1, 0, 1]


def test_a_cell_without_counts_has_null_fractions_and_no_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = quality_of(sp.csr_matrix((1, 6), dtype=np.float32))
    assert table["panel_fraction"].isna().all()
    assert table["mitochondrial_fraction"].isna().all()


def test_mitochondrial_genes_are_found_in_man_and_mouse_and_nothing_else() -> None:
    assert find_mitochondrial(GENES).tolist() == [False, True, False, False, True, False]  # type: ignore[union-attr]
    assert find_mitochondrial(["mt-Co1", "Mtor", "Actb"]).tolist() == [True, False, False]  # type: ignore[union-attr]
    assert find_mitochondrial(["MTOR", "ENSG00000198804"]) is None


def test_what_is_not_measured_is_no_column() -> None:
    table = quality_of(some_counts(3, 6), mitochondrial_columns=None)
    assert tuple(table.columns) == CELL_COLUMNS[:-1]


@pytest.mark.parametrize("n_rows", [1, 7, 50, 1000])
def test_chunks_give_the_tables_of_the_whole(n_rows: int) -> None:
    X = some_counts(50, 6)
    whole = quality_of(X)
    collected = QualityAccumulator(
        panel_columns=PANEL, mitochondrial_columns=find_mitochondrial(GENES), panel_overlap=0.75
    )
    for start in range(0, 50, n_rows):
        rows = slice(start, start + n_rows)
        collected.add(X[rows], cell_ids=whole["cell_id"][rows], library_size=whole["total_counts"][rows])
    pd.testing.assert_frame_equal(collected.cells(), whole)
    pd.testing.assert_frame_equal(
        collected.sample(),
        sample_quality(n_cells=50, n_genes=6, panel_overlap=0.75, whole_numbers=True, finite=True),
    )


@pytest.mark.parametrize(
    ("value", "whole_numbers", "finite"),
    [(3.0, True, True), (0.5, False, True), (np.nan, False, False), (np.inf, True, False)],
)
def test_one_odd_value_in_one_chunk_is_seen(value: float, whole_numbers: bool, finite: bool) -> None:
    collected = QualityAccumulator(panel_columns=PANEL, mitochondrial_columns=None, panel_overlap=1.0)
    for odd in (1.0, value, 2.0):
        X = sp.csr_matrix(np.array([[odd, 0, 0, 0, 0, 1]], dtype=np.float32))
        collected.add(X, cell_ids=[f"cell-{odd}"], library_size=np.array([10.0]))
    row = collected.sample().iloc[0]
    assert (bool(row["whole_numbers"]), bool(row["finite"])) == (whole_numbers, finite)


def test_an_input_without_chunks_gives_tables_without_cells() -> None:
    collected = QualityAccumulator(panel_columns=PANEL, mitochondrial_columns=PANEL, panel_overlap=0.0)
    assert tuple(collected.cells().columns) == CELL_COLUMNS
    assert len(collected.cells()) == 0
    assert tuple(collected.sample().columns) == SAMPLE_COLUMNS
    assert collected.sample()["n_cells"].tolist() == [0]


def test_a_sparse_chunk_is_never_made_dense_nor_copied_as_float64() -> None:
    X = some_counts(1_000, 20_000, density=0.02)
    panel = np.arange(20_000) % 10 == 0
    library_size = np.asarray(X.sum(axis=1)).ravel()
    tracemalloc.start()
    cell_quality(X, cell_ids=np.arange(1_000), library_size=library_size, panel_columns=panel)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 0.5 * X.data.nbytes, f"{peak} bytes for a chunk of {X.data.nbytes}"
