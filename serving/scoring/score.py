"""Scoring checked cells in chunks, several at once: the engine-neutral core of every door."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from typing import Any, TypeVar

import numpy as np

from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import AlignedCells, CheckedCells, PreparedChunk
from cellmark.schemas.manifest.manifest_levels import level_calls
from cellmark.schemas.manifest.manifest_ontology import coarse_calls
from cellmark.schemas.normalization import dense_counts

from ..context import check_stop, stage
from .call_rules import CallRules, packed_sets
from .session import ModelSession
from .strongest_genes import StrongestGenes, explain_calls

Item = TypeVar("Item")
Result = TypeVar("Result")

ChunkWatch = Callable[[RowChunk, PreparedChunk], None]
"""Gets every chunk of an input, and what the checks made of it."""
Outputs = dict[str, np.ndarray]
OutputsWatch = Callable[[Outputs], None]
"""Gets the annotator's outputs of consecutive cells, by name."""

CHUNK_VALUES = 1_000_000
"""Dense values in one chunk (4 MB in float32): small enough for the caches, large enough for the matrix product."""


@dataclass(frozen=True)
class Calls:
    """Calls of consecutive cells. `best`, `second`: int32 [cells], numbers of types; `confidence`, `margin`, `energy`:
    float32 [cells]; `novelty`: float32 [cells], or None where the graph has no such output; `sets`: see
    `packed_sets`; `coarse`: int32 [cells], numbers of `CallRules.coarse_names`, -1 for none, and
    `coarse_probability`: float32 [cells]; `levels`: int32, cells x levels, numbers of a level's groups, and
    `level_confidence`: float32, the same shape; `probabilities`: float32, cells x types, or None when not kept.
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
    levels: np.ndarray | None = None
    level_confidence: np.ndarray | None = None
    probabilities: np.ndarray | None = None

    @classmethod
    def joined(cls, pieces: Sequence["Calls"]) -> "Calls":
        """Calls of all cells of several pieces, which have the same parts."""
        if len(pieces) == 1:
            return pieces[0]
        columns: dict[str, Any] = {}
        for entry in fields(cls):
            parts = [getattr(piece, entry.name) for piece in pieces]
            columns[entry.name] = None if parts[0] is None else np.concatenate(parts)
        return cls(**columns)


NO_CALLS = Calls(*(np.zeros(0, dtype=kind) for kind in (np.int32, np.int32, np.float32, np.float32, np.float32)))


def rows_per_chunk(n_panel: int, *, chunk_values: int = CHUNK_VALUES) -> int:
    """Cells in one chunk for a panel of this size."""
    return max(64, chunk_values // max(n_panel, 1))


@dataclass(frozen=True)
class CallBlock:
    """`calls` of the cells from `start` on. `chunk`, `prepared`: what they were made of. `outputs`: the graph's, none
    for a chunk in which something is wrong. `strongest`: the genes behind them, where these were asked for.
    """

    start: int
    calls: Calls
    chunk: RowChunk
    prepared: PreparedChunk
    outputs: Outputs
    strongest: StrongestGenes | None = None


def score(
    checked: CheckedCells,
    session: ModelSession,
    *,
    rules: CallRules | None = None,
    keep_probabilities: bool = False,
    workers: int | None = None,
    observe: ChunkWatch | None = None,
    observe_outputs: OutputsWatch | None = None,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> Calls:
    """Calls of all cells, in order. `observe` sees every chunk, and `observe_outputs` what the graph made of every one
    that passed the checks, in order, in this thread: for all that calls do not keep, such as the embedding.
    `on_progress` gets the number of finished cells. The rest is as in `score_blocks`.
    """
    pieces = []
    for block in score_blocks(checked, session, rules=rules, keep_probabilities=keep_probabilities, workers=workers):
        if observe is not None:
            observe(block.chunk, block.prepared)
        if observe_outputs is not None and block.outputs:
            observe_outputs(block.outputs)
        on_progress(block.chunk.X.shape[0])
        pieces.append(block.calls)
    return Calls.joined(pieces)


def score_blocks(
    checked: CheckedCells,
    session: ModelSession,
    *,
    rules: CallRules | None = None,
    keep_probabilities: bool = False,
    explain: int | None = None,
    workers: int | None = None,
) -> Iterator[CallBlock]:
    """Calls of all cells, block by block, in order: nothing is kept of those that were handed out.

    Rows are read in this thread, in file order; checking, aligning and scoring run in `workers` threads (default: the
    machine's cores, at most 8) on chunks that fit the caches. `rules`: for label sets, coarse calls and levels.
    `explain`: how many genes behind each call to find. Raises `InputError` with all problems of the values, after the
    last row: calls of an input that fails count for nothing. A block in which something is wrong has calls of no cells.
    """
    chosen = rules or CallRules()

    def work(chunk: RowChunk) -> CallBlock:
        prepared = checked.prepare(chunk)
        calls, outputs, strongest = NO_CALLS, {}, None
        if prepared.cells is not None:
            counts = dense_counts(prepared.cells.counts, prepared.cells.measured)
            outputs = annotate_cells(session, prepared.cells, counts=counts)
            calls = calls_of(outputs, chosen, keep_probabilities=keep_probabilities)
            if explain is not None:
                strongest = explain_calls(session, prepared.cells, calls.best, explain, counts=counts)
        return CallBlock(chunk.start, calls, chunk, prepared, outputs, strongest)

    n_rows = rows_per_chunk(len(checked.match.measured))
    chunks = checked.source.chunks(n_rows)
    for block in in_order(work, chunks, workers=1 if checked.source.n_obs <= n_rows else workers):
        checked.record(block.prepared)
        yield block
    checked.finish()


def calls_of(outputs: Outputs, rules: CallRules, *, keep_probabilities: bool = False) -> Calls:
    """What the annotator's outputs, by name, say of the cells."""
    probabilities = outputs["probabilities"]
    best, second, confidence, margin = best_two(probabilities, ranked_by=outputs[rules.ranked_by])
    sets, coarse, coarse_probability, levels, level_confidence = None, None, None, None, None
    if rules.set_thresholds is not None:
        sets = packed_sets(probabilities, rules.set_thresholds, flattening=rules.flattening)
    if rules.members is not None:
        coarse, coarse_probability = coarse_calls(probabilities, rules.members, rules.coarse_probability)
    if rules.levels:
        found = [level_calls(probabilities, level.members, level.temperature) for level in rules.levels]
        levels, level_confidence = (np.stack(column, axis=1) for column in zip(*found, strict=True))
    return Calls(
        best.astype(np.int32),
        second.astype(np.int32),
        confidence,
        margin,
        outputs["energy"],
        outputs.get("novelty"),
        sets,
        None if coarse is None else coarse.astype(np.int32),
        coarse_probability,
        levels,
        level_confidence,
        probabilities if keep_probabilities else None,
    )


def annotate_cells(session: ModelSession, cells: AlignedCells, *, counts: np.ndarray | None = None) -> Outputs:
    """The annotator's outputs of aligned cells. `counts`: as `dense_counts` makes them, where the caller has them."""
    with stage("infer"):
        if counts is None:
            counts = dense_counts(cells.counts, cells.measured)
        return session.annotate(counts, cells.library_size)


def best_two(
    probabilities: np.ndarray, *, ranked_by: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Numbers of the best and the second type, the best one's probability, and its lead over the second, [cells] each.

    `probabilities`: cells x types, at least two types. `ranked_by`: what orders them, if not the
    probabilities (see `Manifest.ranked_by`). Of equal ones the first in the model's order is best.
    """
    rows = np.arange(len(probabilities))
    ordered = probabilities if ranked_by is None else ranked_by
    best = ordered.argmax(axis=1)
    rest = ordered.copy()
    rest[rows, best] = -np.inf
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
