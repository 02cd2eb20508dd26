"""A challenger that scores requests unseen."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cellmark.schemas.api.request_cells import RequestCells
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.serving import Annotator
from cellmark.serving.scoring.as_source import as_source
from cellmark.serving.scoring.score import Calls, score
from cellmark.serving.versions.shadow import MOST_CELLS, MOST_WAITING, Shadow, ShadowTask, summary


@pytest.fixture(scope="module")
def champion(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def cells(new_cells) -> RequestCells:  # type: ignore[no-untyped-def]
    source = as_source(new_cells)
    assert isinstance(source, MemoryCells)
    return RequestCells(source)


@pytest.fixture(scope="module")
def calls(champion: Annotator, cells: RequestCells) -> Calls:
    return score(champion.check(cells.source, cells.reading), champion.session, rules=champion.rules())


class Totals(dict[str, dict[str, float]]):
    """Totals by pair, and an event for each that is added."""

    def __init__(self) -> None:
        super().__init__()
        self.added = threading.Semaphore(0)

    def add(self, pair: str, totals: dict[str, float]) -> None:
        into = self.setdefault(pair, {})
        for name, value in totals.items():
            into[name] = into.get(name, 0.0) + value
        self.added.release()


def shadow_of(challenger: Annotator | None, totals: Totals, *, share: float = 1.0, drawn: float = 0.5) -> Shadow:
    @contextmanager
    def lease() -> Iterator[Annotator]:
        if challenger is None:
            raise KeyError
        yield challenger

    return Shadow(share, lease, totals.add, draw=lambda: drawn)


def test_the_model_agrees_with_itself(champion: Annotator, cells: RequestCells, calls: Calls) -> None:
    totals = Totals()
    shadow = shadow_of(champion, totals)
    shadow.begin()
    assert shadow.offer(champion, cells, calls, 0.5)
    assert totals.added.acquire(timeout=60)
    shadow.end()
    ((pair, of_pair),) = totals.items()
    told = summary(pair, of_pair)
    assert (told["requests"], told["cells"], told["agreement"], told["differences"]) == (1, len(calls.best), 1.0, [])
    assert told["confidence_shift"] == pytest.approx(0, abs=1e-6)
    assert told["seconds_champion"] == 0.5
    assert told["seconds_challenger"] > 0


def test_what_another_model_says_is_counted_cell_by_cell(
    champion: Annotator, cells: RequestCells, calls: Calls
) -> None:
    totals = Totals()
    turned = replace(calls, best=(calls.best + 1) % 3, confidence=np.full_like(calls.confidence, 0.25))
    shadow_of(champion, totals).work(ShadowTask(champion, cells, turned, 0.1))
    told = summary(*next(iter(totals.items())))
    assert (told["agreement_best_type"], told["confidence_champion"]) == (0.0, 0.25)
    assert told["confidence_shift"] == pytest.approx(float(calls.confidence.mean()) - 0.25, abs=1e-5)
    assert sum(entry["cells"] for entry in told["differences"]) == len(calls.best) * (1 - told["agreement"])


def test_cells_that_do_not_fit_the_challenger_are_counted_as_refused(
    champion: Annotator, cells: RequestCells, calls: Calls
) -> None:
    source = cells.source
    assert isinstance(source, MemoryCells)
    foreign = replace(source, var_names=np.array([f"ENSG{number:011d}" for number in range(len(source.var_names))]))
    totals = Totals()
    shadow_of(champion, totals).work(ShadowTask(champion, replace(cells, source=foreign), calls, 0.1))
    assert [of_pair["refused"] for of_pair in totals.values()] == [1.0]


def test_only_a_share_is_taken_and_never_more_than_the_queue_holds(
    champion: Annotator, cells: RequestCells, calls: Calls
) -> None:
    totals = Totals()
    assert not shadow_of(champion, totals, share=0.1, drawn=0.1).offer(champion, cells, calls, 0.1)
    assert shadow_of(champion, totals, share=0.1, drawn=0.09).offer(champion, cells, calls, 0.1)
    full = shadow_of(champion, totals)  # nobody works
    taken = [full.offer(champion, cells, calls, 0.1) for _ in range(MOST_WAITING + 3)]
    assert taken == [True] * MOST_WAITING + [False] * 3


def test_large_requests_and_files_are_not_held(champion: Annotator, cells: RequestCells, calls: Calls) -> None:
    class Streamed:
        n_obs = 10

    class Large(MemoryCells):
        n_obs = MOST_CELLS + 1  # type: ignore[assignment]

    shadow = shadow_of(champion, Totals())
    for source in (Streamed(), Large(cells.source.X, cells.source.var_names, cells.source.obs)):  # type: ignore[attr-defined]
        assert not shadow.offer(champion, replace(cells, source=source), calls, 0.1)  # type: ignore[arg-type]


def test_without_a_loaded_challenger_nothing_happens(champion: Annotator, cells: RequestCells, calls: Calls) -> None:
    totals = Totals()
    shadow_of(None, totals).work(ShadowTask(champion, cells, calls, 0.1))
    assert totals == {}


def test_totals_of_two_workers_are_one(tmp_path: Path) -> None:
    from cellmark.serving.versions.version_state import VersionState

    states = [VersionState(tmp_path), VersionState(tmp_path)]
    for state in states:
        state.add_shadow("a -> b", {"cells": 2.0, "same_call": 1.0})
    assert states[0].shadow() == {"a -> b": {"cells": 4.0, "same_call": 2.0}}
    for state in states:
        state.close()
