"""Scoring in chunks and threads gives what one call gives."""

import threading
import time
from collections.abc import Iterator

import anndata as ad
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.errors import InputError
from cellmark.serving.scoring import score as module
from cellmark.serving.scoring.score import best_two, in_order, rows_per_chunk, score
from cellmark.serving.scoring.session import ModelSession


@pytest.fixture(scope="module")
def session(tiny_bundle: Bundle) -> ModelSession:
    return ModelSession(tiny_bundle)


def checked(adata: ad.AnnData, session: ModelSession) -> CheckedCells:
    return CheckedCells(cells_from_anndata(adata), session.bundle.panel)


@pytest.mark.parametrize(("n_rows", "workers"), [(1000, 1), (7, 1), (7, 4), (64, 2)])
def test_any_chunking_and_any_number_of_workers_give_the_same_calls(
    new_cells: ad.AnnData, session: ModelSession, monkeypatch: pytest.MonkeyPatch, n_rows: int, workers: int
) -> None:
    whole = checked(new_cells, session).load()
    dense = whole.counts.toarray()
    outputs = session.annotate(dense, whole.library_size)
    monkeypatch.setattr(module, "rows_per_chunk", lambda n_panel: n_rows)
    heard: list[int] = []
    calls = score(
        checked(new_cells, session), session, keep_probabilities=True, workers=workers, on_progress=heard.append
    )
    assert calls.probabilities is not None
    np.testing.assert_allclose(calls.probabilities, outputs["probabilities"], atol=1e-6)
    np.testing.assert_array_equal(calls.best, outputs["probabilities"].argmax(axis=1))
    np.testing.assert_allclose(calls.energy, outputs["energy"], atol=1e-5)
    np.testing.assert_allclose(calls.confidence, outputs["probabilities"].max(axis=1), atol=1e-6)
    assert sum(heard) == new_cells.n_obs
    assert score(checked(new_cells, session), session).probabilities is None


def test_every_chunk_is_observed_in_order(
    new_cells: ad.AnnData, session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "rows_per_chunk", lambda n_panel: 7)
    seen: list[tuple[int, int]] = []

    def observe(chunk: RowChunk, prepared: PreparedChunk) -> None:
        assert prepared.cells is not None
        seen.append((chunk.start, prepared.cells.counts.shape[0]))

    score(checked(new_cells, session), session, workers=3, observe=observe)
    assert [start for start, _ in seen] == list(range(0, new_cells.n_obs, 7))
    assert sum(size for _, size in seen) == new_cells.n_obs


def test_one_wrong_value_in_the_last_chunk_refuses_all(
    new_cells: ad.AnnData, session: ModelSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "rows_per_chunk", lambda n_panel: 7)
    cells = new_cells.copy()
    cells.X.data[-1] = 0.5
    cells.X.data[0] = -1
    with pytest.raises(InputError) as caught:
        score(checked(cells, session), session)
    assert {finding.code for finding in caught.value.findings} == {"COUNTS_NOT_WHOLE", "COUNTS_NEGATIVE"}


@given(hnp.arrays(np.float32, st.tuples(st.integers(0, 5), st.integers(2, 6)), elements=st.floats(0, 1, width=32)))
def test_best_and_second_are_those_of_a_stable_sort(probabilities: np.ndarray) -> None:
    best, second, confidence, margin = best_two(probabilities)
    for row, values in enumerate(probabilities):
        order = sorted(range(len(values)), key=lambda number: -values[number])
        assert [best[row], second[row]] == order[:2]
        assert confidence[row] == values[order[0]]
        assert margin[row] == values[order[0]] - values[order[1]]


def test_results_come_in_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 if number % 3 == 0 else 0)
        return number * 2

    assert list(in_order(work, iter(range(20)), workers=4)) == [number * 2 for number in range(20)]


def test_few_items_are_taken_ahead() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            taken.append(number)
            yield number

    results = in_order(lambda number: number, items(), workers=2)
    assert next(results) == 0
    assert len(taken) < 10
    results.close()  # type: ignore[attr-defined]
    assert len(taken) < 10


@pytest.mark.parametrize("workers", [1, 3])
def test_an_error_in_the_work_ends_it_and_leaves_no_threads(workers: int) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise RuntimeError("five")
        return number

    with pytest.raises(RuntimeError, match="five"):
        list(in_order(work, iter(range(100)), workers=workers))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("cellmark-score")]


def test_chunks_are_bounded_in_values_and_never_tiny() -> None:
    assert rows_per_chunk(2000) * 2000 <= module.CHUNK_VALUES
    assert rows_per_chunk(10**6) >= 16
    assert rows_per_chunk(0) >= 1
