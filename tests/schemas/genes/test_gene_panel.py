"""Alignment of any input to the panel: against a dense gene-by-gene lookup, and as properties of drawn inputs."""

import hashlib
import time
import tracemalloc

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.errors import GeneOverlapError, ParameterError
from cellmark.schemas.genes.gene_panel import GenePanel, duplicate_notes, overlap_findings

PANEL = GenePanel(("MS4A1", "CD79A", "GNLY", "NKG7", "LYZ", "PPBP"))


@st.composite
def inputs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """Dense counts, cells x genes, and gene names: some of the panel, some others, some twice, in any order."""
    names = draw(st.lists(st.sampled_from([*PANEL.symbols, "ACTB", "GAPDH", "ms4a1"]), min_size=1, max_size=14))
    n_cells = draw(st.integers(0, 4))
    values = draw(st.lists(st.integers(0, 9), min_size=n_cells * len(names), max_size=n_cells * len(names)))
    return np.array(values, dtype=np.float64).reshape(n_cells, len(names)), np.array(names)


def looked_up(dense: np.ndarray, names: np.ndarray) -> np.ndarray:
    """The panel's counts the slow way: for each gene, the sum over the input's columns of that name."""
    return np.column_stack([dense[:, names == symbol].sum(axis=1) for symbol in PANEL.symbols])


@given(inputs())
def test_aligned_counts_equal_a_gene_by_gene_lookup(drawn: tuple[np.ndarray, np.ndarray]) -> None:
    dense, names = drawn
    match = PANEL.match(names)
    aligned = match.align(sp.csr_matrix(dense))
    assert aligned.dtype == np.float32
    assert aligned.format == "csr"
    aligned.check_format(full_check=True)
    np.testing.assert_array_equal(aligned.toarray(), looked_up(dense, names))
    pairs = aligned.tocoo()
    assert len(set(zip(pairs.row, pairs.col, strict=True))) == aligned.nnz
    counted = {symbol: int((names == symbol).sum()) for symbol in PANEL.symbols}
    assert match.measured.tolist() == [counted[symbol] > 0 for symbol in PANEL.symbols]
    assert match.missing == tuple(symbol for symbol in PANEL.symbols if counted[symbol] == 0)
    assert match.duplicated == tuple(symbol for symbol in PANEL.symbols if counted[symbol] > 1)


@given(inputs(), st.randoms(use_true_random=False))
def test_the_order_of_genes_does_not_matter(drawn: tuple[np.ndarray, np.ndarray], random: object) -> None:
    dense, names = drawn
    order = np.arange(len(names))
    random.shuffle(order)  # type: ignore[attr-defined]
    one, other = PANEL.match(names), PANEL.match(names[order])
    first, second = one.align(sp.csr_matrix(dense)), other.align(sp.csr_matrix(dense[:, order]))
    np.testing.assert_array_equal(first.toarray(), second.toarray())
    np.testing.assert_array_equal(one.measured, other.measured)


@given(inputs(), st.randoms(use_true_random=False))
def test_unsorted_indices_align_like_sorted_ones(drawn: tuple[np.ndarray, np.ndarray], random: object) -> None:
    dense, names = drawn
    X = sp.csr_matrix(dense)
    indices, data = X.indices.copy(), X.data.copy()
    for start, stop in zip(X.indptr[:-1], X.indptr[1:], strict=True):
        order = np.arange(start, stop)
        random.shuffle(order)  # type: ignore[attr-defined]
        indices[start:stop], data[start:stop] = X.indices[order], X.data[order]
    unsorted = sp.csr_matrix((data, indices, X.indptr), shape=X.shape)
    aligned = PANEL.match(names).align(unsorted)
    np.testing.assert_array_equal(aligned.toarray(), looked_up(dense, names))


def test_a_value_stored_in_two_parts_counts_as_their_sum() -> None:
    X = sp.csr_matrix((np.array([2.0, 3.0, 1.0]), np.array([1, 1, 0]), np.array([0, 3])), shape=(1, 2))
    aligned = PANEL.match(np.array(["MS4A1", "CD79A"])).align(X)
    assert aligned.toarray().tolist() == [[1, 5, 0, 0, 0, 0]]


@pytest.mark.parametrize("dtype", [np.int64, np.uint16, np.int32, np.float64, np.bool_])
def test_any_dtype_of_counts_becomes_float32(dtype: type) -> None:
    dense = np.array([[1, 0, 1], [0, 0, 1]]).astype(dtype)
    aligned = PANEL.match(np.array(["GNLY", "LYZ", "ACTB"])).align(sp.csr_matrix(dense))
    assert aligned.dtype == np.float32
    np.testing.assert_array_equal(aligned.toarray()[:, 2], dense[:, 0].astype(np.float32))


def test_alignment_leaves_the_input_as_it_was() -> None:
    X = sp.csr_matrix((np.array([2.0, 3.0, 1.0]), np.array([2, 0, 1]), np.array([0, 2, 3])), shape=(2, 3))
    before = X.data.copy(), X.indices.copy(), X.indptr.copy()
    PANEL.align(X, np.array(["LYZ", "LYZ", "MS4A1"]), min_share=0.1)
    for array, old in zip((X.data, X.indices, X.indptr), before, strict=True):
        np.testing.assert_array_equal(array, old)


def test_too_few_panel_genes_are_refused_and_half_is_enough() -> None:
    names = np.array(["MS4A1", "CD79A", "GNLY", "ACTB"])
    aligned, match = PANEL.align(sp.csr_matrix((1, 4)), names)
    assert match.share == 0.5
    assert aligned.shape == (1, 6)
    with pytest.raises(GeneOverlapError, match="TOO_FEW_GENES") as caught:
        PANEL.align(sp.csr_matrix((1, 3)), names[1:])
    assert caught.value.findings[0].examples == ("MS4A1", "NKG7", "LYZ", "PPBP")
    PANEL.align(sp.csr_matrix((1, 3)), names[1:], min_share=1 / 3)


def test_no_shared_gene_is_refused_with_names_of_both_sides() -> None:
    with pytest.raises(GeneOverlapError, match="NO_GENES_SHARED") as caught:
        PANEL.align(sp.csr_matrix((1, 2)), np.array(["ENSG00000156738", "ENSG00000105369"]), min_share=0.0)
    assert "MS4A1" in str(caught.value)
    assert "ENSG00000156738" in str(caught.value)


def test_duplicate_genes_are_named_in_a_note() -> None:
    match = PANEL.match(np.array(["LYZ", "LYZ", "LYZ", "GNLY", "ACTB", "ACTB"]))
    (note,) = duplicate_notes(match)
    assert (note.code, note.severity, note.examples) == ("GENES_DUPLICATED", "info", ("LYZ",))
    assert duplicate_notes(PANEL.match(np.array(["LYZ", "ACTB", "ACTB"]))) == ()


def test_overlap_of_a_full_input_has_no_finding() -> None:
    names = np.array(PANEL.symbols)
    assert overlap_findings(PANEL, PANEL.match(names), names, min_share=1.0) == ()


def test_a_panel_names_each_gene_once() -> None:
    with pytest.raises(ParameterError, match="LYZ"):
        GenePanel(("LYZ", "GNLY", "LYZ"))


def test_panel_digest_is_sha256_of_the_symbols_one_a_line() -> None:
    assert GenePanel(("A", "B")).digest == hashlib.sha256(b"A\nB").hexdigest()
    assert GenePanel(("B", "A")).digest != GenePanel(("A", "B")).digest


@pytest.mark.slow
def test_20000_cells_x_20000_genes_align_in_seconds_without_a_dense_copy() -> None:
    n_cells, n_genes, per_cell = 20_000, 20_000, 2_000
    generator = np.random.default_rng(0)
    start = generator.integers(0, n_genes // per_cell, (n_cells, 1), dtype=np.int32)
    indices = (np.arange(per_cell, dtype=np.int32) * (n_genes // per_cell) + start).ravel()
    X = sp.csr_matrix(
        (np.ones(n_cells * per_cell, np.float32), indices, np.arange(n_cells + 1, dtype=np.int64) * per_cell),
        shape=(n_cells, n_genes),
    )
    names = np.array([f"GENE{number}" for number in generator.permutation(n_genes)])
    panel = GenePanel(tuple(f"GENE{number}" for number in range(0, n_genes, 10)))
    tracemalloc.start()
    begun = time.perf_counter()
    aligned, match = panel.align(X, names)
    seconds = time.perf_counter() - begun
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert match.n_matched == len(panel) == 2_000
    kept = np.isin(names, panel.symbols)
    assert aligned.sum() == X[:, np.flatnonzero(kept)].sum()
    assert seconds < 10
    # A dense copy would take 1,600 MB; the input itself has 320 MB.
    assert peak < 1.2 * (X.data.nbytes + X.indices.nbytes), f"{peak / 1e6:.0f} MB"


@pytest.mark.parametrize("form", ["{symbol}_{id}", "{id}|{symbol}", "{id}.7-{symbol}", "GRCh38_{symbol}_{id}.2"])
def test_ids_within_names_are_taken_out_by_the_remedy(form: str) -> None:
    ids = [f"ENSG{number:011d}" for number in range(6)]
    names = [form.format(id=gene_id, symbol=symbol) for gene_id, symbol in zip(ids, PANEL.symbols, strict=True)]
    adata = ad.AnnData(sp.csr_matrix(np.ones((2, 6))), var=pd.DataFrame(index=names))
    with pytest.raises(GeneOverlapError, match="NO_GENES_SHARED") as caught:
        PANEL.align(adata.X, adata.var_names.to_numpy())
    remedy = caught.value.findings[0].remedy
    exec(remedy[remedy.index("adata.var_names =") :].removesuffix("."), {"adata": adata})
    assert list(adata.var_names) == ids
