"""Scoring checked cells in chunks, several at once: the engine-neutral core of every door."""

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import AlignedCells, CheckedCells, PreparedChunk
from cellmark.schemas.manifest.manifest_ontology import coarse_calls
from cellmark.schemas.normalization import dense_counts

from ..context import check_stop, stage
from .call_rules import CallRules, packed_sets
from .session import ModelSession

Item = TypeVar("Item")
Result = TypeVar("Result")

CHUNK_VALUES = 1_000_000
"""Dense values in one chunk (4 MB in float32): small enough for the caches, large enough for the matrix product."""


@dataclass(frozen=True)
class Calls:
    """Calls of consecutive cells. `best`, `second`: int32 [cells], numbers of types; `confidence`, `margin`, `energy`:
    float32 [cells]; `novelty`: float32 [cells], or None where the graph has no such output; `sets`: see
    `packed_sets`; `coarse`: int32 [cells], numbers of `CallRules.coarse_names`, -1 for none, and
    `coarse_probability`: float32 [cells]; `probabilities`: float32, cells x types, or None when not kept.
    """

    best: np.ndarray
    second: np.ndarray
    confidence: np.ndarray
    margin: np.ndarray
    energy: np.ndarray
    novelty: np.ndarray | None = None
    sets: np.ndarray | None = None
    coarse: np.ndarray | None = None
    coarse_probability: np.ndarray | None = None
    probabilities: np.ndarray | None = None


def rows_per_chunk(n_panel: int, *, chunk_values: int = CHUNK_VALUES) -> int:
    """Cells in one chunk for a panel of this size."""
    return max(64, chunk_values // max(n_panel, 1))


def score(
    checked: CheckedCells,
    session: ModelSession,
    *,
    rules: CallRules | None = None,
    keep_probabilities: bool = False,
    workers: int | None = None,
    observe: Callable[[RowChunk, PreparedChunk], None] | None = None,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> Calls:
    """Calls of all cells, in order.

    Rows are read in this thread, in file order; checking, aligning and scoring run in `workers` threads (default: the
    machine's cores, at most 8) on chunks that fit the caches. `observe` sees every chunk, in order, in this thread;
    `on_progress` gets the number of finished cells. `rules`: for label sets and coarse calls. Raises `InputError` with
    all problems of the values, after the last row: no input that fails gets a call.
    """
    n_obs, panel_size = checked.source.n_obs, len(checked.match.measured)
    best, second = np.zeros(n_obs, dtype=np.int32), np.zeros(n_obs, dtype=np.int32)
    confidence, margin, energy = (np.zeros(n_obs, dtype=np.float32) for _ in range(3))
    n_types = len(session.bundle.manifest.cell_types)
    probabilities = np.zeros((n_obs, n_types), dtype=np.float32) if keep_probabilities else None
    rules = rules or CallRules()
    novelty = np.zeros(n_obs, dtype=np.float32) if "novelty" in session.output_names else None
    sets = np.zeros((n_obs, (n_types + 7) // 8), dtype=np.uint8) if rules.set_thresholds is not None else None
    coarse, coarse_probability = (
        (np.zeros(n_obs, dtype=np.int32), np.zeros(n_obs, dtype=np.float32))
        if rules.members is not None
        else (None, None)
    )

    def work(chunk: RowChunk) -> tuple[RowChunk, PreparedChunk]:
        prepared = checked.prepare(chunk)
        if prepared.cells is not None:
            outputs = annotate_cells(session, prepared.cells)
            rows = slice(chunk.start, chunk.start + chunk.X.shape[0])
            best[rows], second[rows], confidence[rows], margin[rows] = best_two(outputs["probabilities"])
            energy[rows] = outputs["energy"]
            if novelty is not None:
                novelty[rows] = outputs["novelty"]
            if sets is not None and rules.set_thresholds is not None:
                sets[rows] = packed_sets(outputs["probabilities"], rules.set_thresholds, flattening=rules.flattening)
            if coarse is not None and coarse_probability is not None and rules.members is not None:
                coarse[rows], coarse_probability[rows] = coarse_calls(
                    outputs["probabilities"], rules.members, rules.coarse_probability
                )
            if probabilities is not None:
                probabilities[rows] = outputs["probabilities"]
        return chunk, prepared

    n_rows = rows_per_chunk(panel_size)
    for chunk, prepared in in_order(work, checked.source.chunks(n_rows), workers=1 if n_obs <= n_rows else workers):
        checked.record(prepared)
        if observe is not None:
            observe(chunk, prepared)
        on_progress(chunk.X.shape[0])
    checked.finish()
    return Calls(best, second, confidence, margin, energy, novelty, sets, coarse, coarse_probability, probabilities)


def annotate_cells(session: ModelSession, cells: AlignedCells) -> dict[str, np.ndarray]:
    """The annotator's outputs of aligned cells."""
    with stage("infer"):
        return session.annotate(dense_counts(cells.counts, cells.measured), cells.library_size)


def best_two(probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the best and the second type, the best one's probability, and its lead over the second, [cells] each.

    `probabilities`: cells x types, at least two types. Of equal ones the first in the model's order is best.
    """
    rows = np.arange(len(probabilities))
    best = probabilities.argmax(axis=1)
    rest = probabilities.copy()
    rest[rows, best] = -1
    second = rest.argmax(axis=1)
    confidence = probabilities[rows, best]
    return best, second, confidence, confidence - probabilities[rows, second]


def in_order(work: Callable[[Item], Result], items: Iterator[Item], *, workers: int | None = None) -> Iterator[Result]:
    """Results of `work` in the order of `items`, a few of which are in the works at a time. Raises when the request
    that it works for is to stop.
    """
    n_workers = workers or min(os.cpu_count() or 1, 8)
    if n_workers == 1:
        for item in items:
            check_stop()
            yield work(item)
        return
    pending: deque[Future[Result]] = deque()
    with ThreadPoolExecutor(n_workers, thread_name_prefix="cellmark-score") as pool:
        try:
            for item in items:
                check_stop()
                pending.append(pool.submit(work, item))
                if len(pending) > n_workers + 1:
                    yield pending.popleft().result()
            while pending:
                check_stop()
                yield pending.popleft().result()
        finally:
            for future in pending:
                future.cancel()
