"""Counts come back exactly, or not at all."""

from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.recover_counts import recover_counts, recover_source
from cellmark.schemas.errors import CountsError, InputError
from cellmark.serving.annotator import Annotator
from fixtures import expression_cases as made


@pytest.fixture(scope="module")
def drawn() -> sp.csr_matrix:
    generator = np.random.default_rng(3)
    rates = generator.gamma(0.4, 2, 1500) * generator.lognormal(0, 0.5, (200, 1))
    rates[:, :5] *= 200
    return sp.csr_matrix(generator.poisson(rates).astype(np.float32))


MAKERS = {
    "counts": lambda X: X,
    "per 10,000": made.counts_per,
    "per median": lambda X: made.counts_per(X, None),
    "log1p": made.log1p_norm,
    "log2 per million": lambda X: made.log1p_counts_per(X, 1e6, 2),
    "log1p of counts": lambda X: made.on_values(X, np.log1p),
    "root": lambda X: made.on_values(X, np.sqrt),
    "a third": lambda X: made.on_values(X, lambda data: data / 3),
    "half precision off": lambda X: made.on_values(
        made.log1p_norm(X), lambda data: data.astype(np.float64) * (1 + 1e-8)
    ),
}


@pytest.mark.parametrize("name", MAKERS)
def test_counts_come_back_value_by_value(name: str, drawn: sp.csr_matrix) -> None:
    values = MAKERS[name](drawn)
    before = values.copy()
    recovered = recover_counts(values)
    np.testing.assert_array_equal(recovered.counts.toarray(), drawn.toarray())
    assert recovered.counts.dtype == np.float32
    assert recovered.residue < 0.1
    np.testing.assert_array_equal(values.data, before.data)


def test_a_dense_matrix_and_empty_cells_are_taken(drawn: sp.csr_matrix) -> None:
    with_empty = sp.vstack([sp.csr_matrix((3, drawn.shape[1])), made.log1p_norm(drawn)], format="csr").toarray()
    recovered = recover_counts(with_empty)
    np.testing.assert_array_equal(recovered.counts[3:].toarray(), drawn.toarray())
    assert recovered.counts[:3].nnz == 0


def test_genes_taken_out_after_normalising_do_no_harm(drawn: sp.csr_matrix) -> None:
    kept = np.arange(0, drawn.shape[1], 4)
    np.testing.assert_array_equal(
        recover_counts(made.log1p_norm(drawn)[:, kept]).counts.toarray(), drawn[:, kept].toarray()
    )


def test_a_cell_without_any_single_count_comes_back() -> None:
    generator = np.random.default_rng(0)
    X = generator.poisson(3, (40, 300)).astype(np.float32)
    X[0] = np.where(X[0] == 1, 0, X[0])
    recovered = recover_counts(made.log1p_norm(sp.csr_matrix(X)))
    np.testing.assert_array_equal(recovered.counts.toarray(), X)


@pytest.mark.parametrize("what", ["scaled", "corrected", "rounded log", "one changed value"])
def test_what_is_not_exact_is_refused(what: str, drawn: sp.csr_matrix) -> None:
    values = {
        "scaled": made.scaled,
        "corrected": lambda X: made.on_values(X, lambda data: np.maximum(data - 0.137 * np.sqrt(data), 0)),
        "rounded log": lambda X: made.on_values(made.log1p_norm(X), np.rint),
        "one changed value": made.log1p_norm,
    }[what](drawn)
    if what == "one changed value":
        row = 17
        places = np.arange(values.indptr[row], values.indptr[row + 1])
        values.data[places[len(places) // 2]] *= 1.07
    with pytest.raises(CountsError) as caught:
        recover_counts(values)
    (finding,) = caught.value.findings
    assert finding.code == "COUNTS_NOT_RECOVERABLE"
    if what == "one changed value":
        assert finding.examples == ("17",)


def test_cells_of_another_kind_among_them_are_refused(drawn: sp.csr_matrix) -> None:
    shallow = made.on_values(drawn, np.sign)
    mixed = made.some_rows(made.log1p_norm(drawn), shallow, np.array([4]))
    source = cells_from_anndata(ad.AnnData(mixed))
    with pytest.raises(CountsError, match="COUNTS_NOT_RECOVERABLE"):
        recover_source(source).load()


def test_a_cell_with_hardly_any_values_is_refused_by_name(drawn: sp.csr_matrix) -> None:
    counts = drawn.copy().tolil()
    counts[7, 20:] = 0
    values = sp.csr_matrix(made.counts_per(sp.csr_matrix(counts)))
    assert values[7].nnz >= 10  # enough: it comes back
    recover_counts(values)
    counts[7, 3:] = 0
    with pytest.raises(CountsError, match="fewer than") as caught:
        recover_counts(made.counts_per(sp.csr_matrix(counts)))
    assert caught.value.findings[0].examples == ("7",)


@pytest.fixture(scope="module")
def log_file(drawn: sp.csr_matrix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    adata = ad.AnnData(made.log1p_norm(drawn), obs=pd.DataFrame(index=[f"cell-{n}" for n in range(drawn.shape[0])]))
    path = tmp_path_factory.mktemp("log") / "log.h5ad"
    adata.write_h5ad(path)
    return path


def test_a_file_is_recovered_chunk_by_chunk(log_file: Path, drawn: sp.csr_matrix) -> None:
    with open_cells(log_file, ReadingOptions(recover_counts=True)) as source:
        pieces = [chunk.X for chunk in source.chunks(37)]
        np.testing.assert_array_equal(sp.vstack(pieces).toarray(), drawn.toarray())
        np.testing.assert_array_equal(source.take(np.array([3, 50])).toarray(), drawn[[3, 50]].toarray())
        note = source.notes[-1]
    assert (note.code, note.severity, note.found) == ("COUNTS_RECOVERED", "info", "ln(1 + counts per 10,000)")
    assert source.counts_from == "X, counts recovered"


def test_counts_that_are_raw_already_are_used_as_they_are(drawn: sp.csr_matrix) -> None:
    source = recover_source(cells_from_anndata(ad.AnnData(drawn)))
    np.testing.assert_array_equal(source.load().toarray(), drawn.toarray())
    assert source.notes[-1].found == "raw counts"


def test_calls_of_recovered_counts_are_those_of_the_counts(tiny_bundle, new_cells: ad.AnnData) -> None:  # type: ignore[no-untyped-def]
    annotator = Annotator.load(tiny_bundle.folder)
    logged = new_cells.copy()
    logged.X = made.log1p_norm(sp.csr_matrix(new_cells.X))
    expected = annotator.annotate(new_cells)
    pd.testing.assert_frame_equal(annotator.annotate(logged, recover_counts=True), expected)
    with pytest.raises(InputError, match="recover_counts=True"):
        annotator.annotate(logged, input="counts")
    top = annotator.explain(logged, top=3, recover_counts=True)
    pd.testing.assert_frame_equal(top, annotator.explain(new_cells, top=3))


def test_real_cells_of_scanpy_come_back_as_their_library_sizes_say() -> None:
    scanpy = pytest.importorskip("scanpy")
    adata = scanpy.datasets.pbmc68k_reduced()
    X = sp.csr_matrix(adata.raw.X)
    expected = np.rint(np.expm1(X.toarray()) * adata.obs["n_counts"].to_numpy()[:, None] / 1e4)
    np.testing.assert_array_equal(recover_counts(X).counts.toarray(), expected)
