"""The strongest genes of each call: the same as full explanations give, in a defined order."""

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks.checked_cells import AlignedCells, CheckedCells
from cellmark.schemas.golden_cells import read_golden
from cellmark.schemas.normalization import dense_counts
from cellmark.serving.annotator import Annotator
from cellmark.serving.scoring import score, strongest_genes
from cellmark.serving.scoring.score import annotate_cells, best_two
from cellmark.serving.scoring.session import ModelSession
from cellmark.serving.scoring.strongest_genes import StrongestGenes, explain_calls, strongest_columns


def by_sorting_all(values: np.ndarray, k: int) -> np.ndarray:
    order: np.ndarray = np.argsort(-np.abs(values), axis=1, kind="stable")[:, :k]
    return order


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.float32, st.tuples(st.integers(1, 9), st.integers(1, 90)), elements=st.integers(-6, 6).map(np.float32)),
    st.data(),
)
def test_columns_are_those_of_a_stable_sort_of_all(values: np.ndarray, data: st.DataObject) -> None:
    k = data.draw(st.integers(1, values.shape[1]))
    np.testing.assert_array_equal(strongest_columns(values, k), by_sorting_all(values, k))


@pytest.mark.parametrize("k", [1, 20, 50])
def test_columns_of_many_different_values(k: int) -> None:
    values = np.random.default_rng(k).standard_cauchy(size=(40, 2003)).astype(np.float32)
    np.testing.assert_array_equal(strongest_columns(values, k), by_sorting_all(values, k))


@pytest.fixture(scope="module")
def session(tiny_bundle: Bundle) -> ModelSession:
    return ModelSession(tiny_bundle)


@pytest.fixture(scope="module")
def cells(tiny_bundle: Bundle) -> AlignedCells:
    golden = read_golden(tiny_bundle)
    return AlignedCells(0, golden.counts, golden.library_size, np.ones(len(tiny_bundle.panel), dtype=bool))


def best_of(session: ModelSession, cells: AlignedCells) -> np.ndarray:
    return best_two(annotate_cells(session, cells)["probabilities"])[0]


def test_genes_are_those_that_explain_lists(session: ModelSession, cells: AlignedCells, tiny_bundle: Bundle) -> None:
    counts = pd.DataFrame(cells.counts.toarray(), columns=list(tiny_bundle.panel.symbols))
    rows = Annotator.load(tiny_bundle.folder).explain(counts, top=4, library_size=cells.library_size)
    found = explain_calls(session, cells, best_of(session, cells), 4)
    by_cell = rows.groupby("cell_id", sort=False)
    names = tiny_bundle.panel.symbol_array
    for number, (_, of_cell) in enumerate(by_cell):
        n_rows = len(of_cell)
        assert of_cell["gene"].tolist() == names[found.genes[number, :n_rows]].tolist()
        np.testing.assert_allclose(found.attributions[number, :n_rows], of_cell["attribution"], rtol=1e-5)
        assert not found.attributions[number, n_rows:].any()
    np.testing.assert_allclose(
        found.convergence_delta, by_cell["convergence_delta"].first().to_numpy(), atol=1e-5
    )  # fmt: skip


def test_blocks_give_the_same_values(
    session: ModelSession, cells: AlignedCells, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = AlignedCells(
        0, cells.counts[np.arange(50) % 6], cells.library_size[np.arange(50) % 6], cells.measured
    )  # fmt: skip
    best = best_of(session, many)
    whole = explain_calls(session, many, best, 5)
    monkeypatch.setattr(strongest_genes, "BLOCK_VALUES", 1)
    blocks = explain_calls(session, many, best, 5, counts=dense_counts(many.counts, many.measured))
    for name in StrongestGenes.__dataclass_fields__:
        np.testing.assert_allclose(getattr(whole, name), getattr(blocks, name), rtol=1e-5, atol=1e-5)


def test_blocks_of_calls_bring_the_genes_behind_them(
    session: ModelSession, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score, "rows_per_chunk", lambda n_panel: 7)
    checked = CheckedCells(cells_from_anndata(new_cells), session.bundle.panel)
    blocks = list(score.score_blocks(checked, session, explain=3, workers=2))
    assert len(blocks) > 1
    for block in blocks:
        assert block.prepared.cells is not None
        expected = explain_calls(session, block.prepared.cells, block.calls.best, 3)
        for name in StrongestGenes.__dataclass_fields__:
            np.testing.assert_array_equal(getattr(block.strongest, name), getattr(expected, name))


def test_a_gene_that_was_not_measured_comes_last_with_zero(session: ModelSession, cells: AlignedCells) -> None:
    measured = cells.measured.copy()
    measured[:-2] = False
    found = explain_calls(
        session, AlignedCells(0, cells.counts, cells.library_size, measured), best_of(session, cells), 5
    )
    assert not found.attributions[:, 2:].any()
    assert set(found.genes[:, :2].ravel().tolist()) <= {len(measured) - 2, len(measured) - 1}


def test_more_genes_than_the_panel_has_are_all_of_it(session: ModelSession, cells: AlignedCells) -> None:
    found = explain_calls(session, cells, best_of(session, cells), 10_000)
    assert found.genes.shape == cells.counts.shape
    assert found.genes.dtype == np.uint16
    np.testing.assert_array_equal(
        np.sort(found.genes, axis=1), np.broadcast_to(np.arange(found.genes.shape[1]), found.genes.shape)
    )


def test_no_cells_give_no_rows(session: ModelSession, cells: AlignedCells) -> None:
    found = explain_calls(
        session, AlignedCells(0, cells.counts[:0], cells.library_size[:0], cells.measured), np.zeros(0, int), 3
    )
    assert found.genes.shape == found.attributions.shape == (0, 3)
