"""What is odd about a matrix: each remark with the input that gets it, and none for cells as they should be."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.checks.check_matrix import MatrixWatch, deep_outliers
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.checks import check_anndata
from cellmark.schemas.errors import InputError, ReadError
from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.serving.annotator import Annotator
from cellmark.serving.files.validate import check_path, validate_cells
from cellmark.training.cells.labelled_cells import read_labelled

GENES = ["MT-CO1", "MT-ND1", "MT-CYB", "RPL3", "RPS6", "CD3D", "LYZ", "MS4A1", "NKG7", "PPBP"]


def cells(n_cells: int = 150, *, genes: list[str] | None = None, seed: int = 0) -> ad.AnnData:
    generator = np.random.default_rng(seed)
    names = genes or [*GENES, *(f"ZNF{number}" for number in range(40))]
    counts = generator.poisson(generator.gamma(1, 2, len(names)) + 0.5, (n_cells, len(names)))
    obs = pd.DataFrame({"cell_type": "B"}, index=[f"cell-{number}" for number in range(n_cells)])
    obs.loc[obs.index[::2], "cell_type"] = "T"
    return ad.AnnData(sp.csr_matrix(counts.astype(np.float32)), obs=obs, var=pd.DataFrame(index=names))


def codes(adata: ad.AnnData, **settings: Any) -> list[str]:
    return list(check_anndata(adata, **settings).codes)


def test_cells_as_they_should_be_get_no_remark() -> None:
    assert codes(cells()) == []
    assert codes(cells(), profile="train") == []


# on its side


def test_genes_as_rows_are_refused_by_that_name_alone(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    turned = new_cells.T.copy()
    with pytest.raises(InputError) as caught:
        Annotator.load(tiny_bundle.folder).annotate(turned)
    assert [finding.code for finding in caught.value.findings] == ["MATRIX_TRANSPOSED"]
    assert "adata.T" in caught.value.findings[0].remedy
    assert set(caught.value.findings[0].examples) <= set(new_cells.var_names)


def test_values_of_a_matrix_on_its_side_are_looked_at_all_the_same(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    turned = new_cells.T.copy()
    X = turned.X.toarray()
    X[0, 0], X[3] = 0.5, 0
    turned.X = X
    report = validate_cells(tiny_bundle, cells_from_anndata(turned))
    assert set(report.codes) == {"MATRIX_TRANSPOSED", "COUNTS_NOT_WHOLE"}


@pytest.mark.parametrize("profile", ["query", "train"])
def test_without_a_model_names_alone_tell(profile: Any, tmp_path: Path) -> None:
    turned = cells().T.copy()
    turned.obs["cell_type"] = ["B", "T"] * (turned.n_obs // 2)
    X = turned.X.toarray()
    X[7] = 0
    turned.X = sp.csr_matrix(X)
    assert codes(turned, profile=profile) == ["MATRIX_TRANSPOSED"]
    turned.write_h5ad(tmp_path / "turned.h5ad")
    assert check_path(tmp_path / "turned.h5ad", profile=profile).codes == ("MATRIX_TRANSPOSED",)
    turned.X[3, 3] = 0.5
    for label, expected in (("cell_type", set()), ("none", {"LABEL_COLUMN_UNKNOWN"})):
        with pytest.raises(InputError) as caught:
            read_labelled(cells_from_anndata(turned), label=label)
        found = {finding.code for finding in caught.value.findings}
        assert found == {"MATRIX_TRANSPOSED", "COUNTS_NOT_WHOLE"} | expected


def test_few_genes_of_the_model_are_no_matrix_on_its_side(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    few = validate_cells(tiny_bundle, cells_from_anndata(new_cells[:, :10].copy()))
    assert "MATRIX_TRANSPOSED" not in few.codes
    strange = new_cells.copy()
    strange.var_names = [f"feature {number}" for number in range(strange.n_vars)]
    assert "MATRIX_TRANSPOSED" not in validate_cells(tiny_bundle, cells_from_anndata(strange)).codes


# in memory


def put(adata: ad.AnnData, X: Any) -> None:
    """Make it `X` as it is; AnnData's own setter would read the broken parts."""
    if None in adata.layers:  # anndata from 0.13 on
        adata._layers[None] = X
    else:
        adata._X = X


def broken_parts(what: str) -> sp.csr_matrix:
    X = cells(20).X.copy()
    if what == "an index beyond the genes":
        X.indices[0] = 10_000
    elif what == "an index below zero":
        X.indices[0] = -1
    elif what == "pointers that fall":
        X.indptr[3] = X.indptr[5]
    elif what == "fractional indices":
        X.indices = X.indices + 0.5
    else:
        X.indptr[-1] += 5
    return X


@pytest.mark.parametrize(
    "what",
    [
        "an index beyond the genes",
        "an index below zero",
        "pointers that fall",
        "pointers beyond the values",
        "fractional indices",
    ],
)
@pytest.mark.parametrize("layout", ["csr", "csc"])
def test_a_sparse_matrix_that_is_broken_in_memory_is_refused(what: str, layout: str) -> None:
    adata = cells(20)
    X = broken_parts(what)
    if layout == "csc":
        turned = sp.csc_matrix(X.shape[::-1], dtype=np.float32)
        turned.data, turned.indices, turned.indptr = X.data, X.indices, X.indptr
        adata = ad.AnnData(sp.csc_matrix(X.shape[::-1]), obs=adata.var, var=adata.obs[[]])
        X = turned
    source = adata.copy()
    put(source, X)
    with pytest.raises(ReadError, match="MATRIX_INVALID"):
        cells_from_anndata(source)
    assert codes(source) == ["MATRIX_INVALID"]


def test_coordinates_that_are_broken_in_memory_are_refused() -> None:
    adata = cells(20)
    X = sp.coo_matrix(adata.X)
    put(adata, X)
    assert codes(adata) == []
    X.col[5] = 10_000
    assert codes(adata) == ["MATRIX_INVALID"]


def test_entries_in_parts_are_summed_with_a_warning_and_an_unsorted_matrix_is_none_of_it() -> None:
    adata = cells()
    X = adata.X
    ones = np.repeat(X.indices, X.data.astype(int))
    ends = np.r_[0, np.cumsum(np.asarray(X.sum(axis=1)).ravel().astype(int))]
    split = ad.AnnData(X.copy(), obs=adata.obs, var=adata.var)
    split.X = sp.csr_matrix((np.ones(len(ones), np.float32), ones, ends), shape=X.shape)
    n_entries = split.X.nnz
    report = check_anndata(split)
    assert report.codes == ("ENTRIES_DUPLICATED",)
    assert f"{len(ones) - X.nnz} values" in report.findings[0].found
    assert split.X.nnz == n_entries
    flip = np.concatenate([np.arange(a, b)[::-1] for a, b in zip(X.indptr, X.indptr[1:], strict=False)])
    unsorted = adata.copy()
    unsorted.X = sp.csr_matrix((X.data[flip], X.indices[flip], X.indptr), shape=X.shape)
    assert codes(unsorted) == []


@pytest.mark.parametrize("dtype", [complex, object, "U8"])
def test_values_of_another_type_are_refused(dtype: Any) -> None:
    dense = cells(20).X.toarray().astype(dtype)
    adata = ad.AnnData(np.zeros(dense.shape), obs=cells(20).obs, var=cells(20).var)
    put(adata, dense)
    assert codes(adata) == ["MATRIX_INVALID"]
    if dtype is complex:
        put(adata, sp.csr_matrix(dense))
        assert codes(adata) == ["MATRIX_INVALID"]


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.longdouble, np.int8, np.uint16, np.int64])
def test_counts_of_any_type_of_number_are_the_same_cells(dtype: Any) -> None:
    adata = cells()
    expected = adata.X.toarray()
    put(adata, expected.astype(dtype))
    np.testing.assert_array_equal(cells_from_anndata(adata).X.toarray().astype(np.float32), expected)
    assert codes(adata) == []


def test_truth_values_are_no_counts() -> None:
    adata = cells()
    adata.X = sp.csr_matrix(adata.X > 1)
    assert codes(adata) == ["COUNTS_NOT_RAW"]


# remarks


def test_one_cell_is_a_note() -> None:
    assert codes(cells(1)) == ["CELL_ONE"]


def test_genes_without_a_count_are_noted_when_they_are_most_of_many_cells() -> None:
    adata = cells()
    X = adata.X.toarray()
    X[:, 10:40] = 0
    adata.X = sp.csr_matrix(X)
    report = check_anndata(adata)
    assert report.codes == ("GENES_EMPTY",)
    assert report.findings[0].found == "30 of 50 without any"
    assert codes(adata[:50].copy()) == []


def test_dying_cells_are_a_warning_when_they_are_many() -> None:
    adata = cells()
    X = adata.X.toarray()
    X[:30, :3] += X[:30].sum(axis=1, keepdims=True)
    adata.X = sp.csr_matrix(X)
    found = {finding.code: finding for finding in check_anndata(adata).findings}
    assert found["CELLS_MITOCHONDRIAL"].found == "30 of 150"
    assert "CELLS_MITOCHONDRIAL" in codes(adata[15:].copy())
    assert "CELLS_MITOCHONDRIAL" not in codes(adata[28:].copy())


def test_far_deeper_cells_are_noted_by_id() -> None:
    adata = cells()
    X = adata.X.toarray()
    X[7] *= 20
    adata.X = sp.csr_matrix(X)
    report = check_anndata(adata)
    assert report.codes == ("CELLS_LIKE_DOUBLETS",)
    assert report.findings[0].examples == ("cell-7",)


def test_outliers_follow_from_the_median_absolute_deviation() -> None:
    scipy_stats = pytest.importorskip("scipy.stats")
    totals = np.random.default_rng(0).lognormal(8, 1, 5000)
    logs = np.log1p(totals)
    expected = logs > np.median(logs) + 5 * scipy_stats.median_abs_deviation(logs)
    np.testing.assert_array_equal(deep_outliers(totals), expected)
    assert not deep_outliers(np.full(10, 100.0)).any()


def test_a_file_of_variable_genes_needs_library_sizes() -> None:
    adata = cells(genes=[f"ZNF{number}" for number in range(800)])
    adata.obs["total"] = 1e5
    assert codes(adata, profile="train") == ["GENES_SUBSET"]
    assert codes(adata, profile="train", library_size="total") == []
    marked = cells()
    marked.var["highly_variable"] = True
    assert codes(marked) == ["GENES_SUBSET"]
    marked.var["highly_variable"] = [True] * 10 + [False] * 40
    assert codes(marked) == []
    read = read_labelled(cells_from_anndata(adata), label="cell_type")
    assert [note.code for note in read.notes] == ["GENES_SUBSET"]


def test_a_model_of_as_few_genes_sums_over_as_few(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    adata = new_cells.copy()
    adata.var["highly_variable"] = True
    assert "GENES_SUBSET" not in validate_cells(tiny_bundle, cells_from_anndata(adata)).codes
    assert "GENES_SUBSET" in validate_cells(tiny_bundle, cells_from_anndata(adata[:, :100].copy())).codes


def test_features_of_which_none_is_a_gene_are_refused(tmp_path: Path) -> None:
    adata = cells()
    adata.var["feature_types"] = "Antibody Capture"
    assert codes(adata) == ["FEATURES_NOT_GENES"]
    adata.write_h5ad(tmp_path / "adt.h5ad")
    assert check_path(tmp_path / "adt.h5ad").codes == ("FEATURES_NOT_GENES",)
    adata.var["feature_types"] = ["Antibody Capture"] * 10 + ["Gene Expression"] * 40
    assert codes(adata) == ["FEATURES_DROPPED"]


def test_remarks_are_the_same_in_any_chunking() -> None:
    adata = cells()
    X = adata.X.toarray()
    X[7] *= 20
    X[:30, :3] += X[:30].sum(axis=1, keepdims=True)
    X[:, 10:40] = 0
    source = cells_from_anndata(ad.AnnData(sp.csr_matrix(X), obs=adata.obs, var=adata.var))
    told = []
    for n_rows in (1, 7, 150):
        watch = MatrixWatch(source)
        for chunk in source.chunks(n_rows):
            watch.see(chunk)
        told.append(watch.findings(summed=False))
    assert told[0] == told[1] == told[2]
    assert len(told[0]) == 3


# library sizes


def sized(totals: list[float], library_range: tuple[float, float] | None) -> list[str]:
    X = sp.csr_matrix(np.ones((len(totals), 3), dtype=np.float32) * [1, 2, 3])
    obs = pd.DataFrame(index=[str(number) for number in range(len(totals))])
    source = MemoryCells(X, np.array(["A", "B", "C"]), obs)
    checked = CheckedCells(source, GenePanel(("A", "B", "C")), library_size=np.array(totals),
                           library_range=library_range)  # fmt: skip
    list(checked.chunks(2))
    return [note.found for note in checked.notes if note.code == "LIBRARY_SIZE_UNUSUAL"]


def test_library_sizes_far_from_training_are_a_warning_of_most_cells() -> None:
    assert sized([100, 100, 100], (90, 110)) == []
    assert sized([100, 100, 20, 20], (90, 110)) == []
    assert sized([100, 20, 20, 200], (90, 110)) == []
    assert sized([100, 20, 20, 20], (90, 110)) == ["3 of 4 cells below that"]
    assert sized([1000, 1000, 20], (90, 110)) == ["2 of 3 cells above that"]
    assert sized([1000, 1000, 20], None) == []


def test_calls_of_deep_cells_come_with_the_warning_and_are_the_same(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    assert tiny_bundle.library_size_range is not None
    checked = annotator.check(new_cells)
    list(checked.chunks(50))
    assert "LIBRARY_SIZE_UNUSUAL" not in [note.code for note in checked.notes]
    new = new_cells.copy()
    new.obs["total"] = 100 * np.asarray(new.X.sum(axis=1)).ravel()
    checked = annotator.check(new, ReadingOptions(library_size="total"))
    list(checked.chunks(50))
    assert [note.code for note in checked.notes] == ["LIBRARY_SIZE_UNUSUAL"]
