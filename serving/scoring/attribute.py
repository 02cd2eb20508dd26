"""Why this call: the genes that drove it, signed, from the explainer graph."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import AlignedCells, CheckedCells, PreparedChunk
from cellmark.schemas.columns import EXPLANATION_COLUMNS
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.normalization import COUNTS_PER, dense_counts

from ..context import stage
from .score import best_two, in_order
from .session import ModelSession
from .strongest_genes import strongest_columns

DEFAULT_TOP = 20
SECOND = "second"
EXPLAIN_VALUES = 250_000
"""Dense values in one chunk: several arrays of this size (1 MB) have to stay in a core's cache."""


@dataclass(frozen=True)
class Question:
    """What to explain. `target`: a cell type, None for the called one. `against`: a cell type, `second` for the second
    best, None for nothing: a target alone answers "why this", with `against` "why this and not that". `top`: genes a
    cell, by absolute attribution.
    """

    target: str | None = None
    against: str | None = None
    top: int = DEFAULT_TOP

    def check(self, session: ModelSession) -> None:
        """Raise `ModelError` on an unknown type and `ParameterError` on what cannot be explained."""
        bundle = session.bundle
        if self.target is not None:
            bundle.check_cell_type(self.target, where="target")
        if self.against is not None and self.against != SECOND:
            bundle.check_cell_type(self.against, where="against")
        if self.target is not None and self.target == self.against:
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="against",
                expected="another type than target",
                found=repr(self.against),
                remedy="Name two different types, or omit one.",
            )
        if self.top < 1:
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="top",
                expected="at least 1",
                found=str(self.top),
                remedy="Ask for one gene or more.",
            )


@dataclass(frozen=True)
class Explained:
    """Attributions of consecutive cells.

    `attributions`: float32, cells x panel genes; `convergence_delta`: float32 [cells]; `called`, `target`, `against`:
    int [cells], numbers of types, -1 for none; `counts`, `log1p_norm`: float32, cells x panel genes, NaN where not
    measured.
    """

    attributions: np.ndarray
    convergence_delta: np.ndarray
    called: np.ndarray
    target: np.ndarray
    against: np.ndarray
    counts: np.ndarray
    log1p_norm: np.ndarray


def attribute_cells(session: ModelSession, cells: AlignedCells, question: Question) -> Explained:
    """Attributions of aligned cells. Where a cell's target is also its `against`, the other of its two best types
    stands in: asked for `second` of a target that is itself second, the best is what it is compared with; asked for a
    named type that is the called one, the second best is the target.
    """
    names = session.bundle.manifest.cell_type_names
    counts = dense_counts(cells.counts, cells.measured)
    with stage("infer"):
        outputs = session.annotate(counts, cells.library_size)
        ranked_by = outputs[session.bundle.manifest.ranked_by]
        best, second, _, _ = best_two(outputs["probabilities"], ranked_by=ranked_by)
    target = best if question.target is None else np.full_like(best, names.index(question.target))
    if question.against is None:
        against = np.full_like(best, -1)
    elif question.against == SECOND:
        against = np.where(target == second, best, second)
    else:
        against = np.full_like(best, names.index(question.against))
        target = np.where(target == against, second, target)
    one_hot = np.eye(len(names) + 1, len(names), dtype=np.float32)
    weights = one_hot[target] - one_hot[against]  # the last row of one_hot is zero, and -1 names it
    with stage("explain"):
        attributions, delta = session.explain(counts, cells.library_size, weights)
    log1p_norm = np.log1p(counts * (COUNTS_PER / cells.library_size)[:, None])
    return Explained(attributions, delta, best, target, against, counts, log1p_norm.astype(np.float32))


def explanation_columns(
    session: ModelSession, explained: Explained, baselines: np.ndarray, *, top: int, normalised: bool = False
) -> dict[str, np.ndarray]:
    """The strongest genes of each cell, cells in order, rank 1 first: what `EXPLANATION_COLUMNS` says of genes, and
    `row`, the number of the cell, all [rows].

    Genes whose attribution is exactly zero are left out, and so every gene that was not measured. `normalised`: counts
    are not known, and NaN.
    """
    attributions = explained.attributions
    n_top = min(top, attributions.shape[1])
    chosen = strongest_columns(attributions, n_top)
    rows = np.repeat(np.arange(len(chosen)), n_top)
    columns = chosen.ravel()
    values = attributions[rows, columns]
    kept = values != 0
    rank = np.tile(np.arange(1, n_top + 1), len(chosen))
    rows, columns, values, rank = rows[kept], columns[kept], values[kept], rank[kept]
    counts, expression = explained.counts[rows, columns], explained.log1p_norm[rows, columns]
    symbols = session.bundle.panel.symbol_array[columns]
    return {
        "row": rows,
        "rank": rank,
        "gene_symbol": symbols,
        "attribution": values,
        "counts": np.full_like(counts, np.nan) if normalised else counts,
        "log1p_norm": expression,
        "baseline": baselines[columns],
        "direction": directions(counts, expression, baselines[columns], values),
        "gene": symbols,
    }


def explanation_frame(
    session: ModelSession,
    explained: Explained,
    cell_ids: np.ndarray,
    baselines: np.ndarray,
    *,
    top: int,
    normalised: bool = False,
) -> pd.DataFrame:
    """`explanation_columns` as a frame with the columns `EXPLANATION_COLUMNS`."""
    columns = explanation_columns(session, explained, baselines, top=top, normalised=normalised)
    rows = columns.pop("row")
    names = np.array([*session.bundle.manifest.cell_type_names, None], dtype=object)
    of_cells = {
        "cell_id": cell_ids[rows],
        "cell_type": names[explained.called[rows]],
        "target": names[explained.target[rows]],
        "against": names[explained.against[rows]],
        "convergence_delta": explained.convergence_delta[rows],
    }
    return pd.DataFrame({**of_cells, **columns}, columns=list(EXPLANATION_COLUMNS))


def directions(
    counts: np.ndarray, log1p_norm: np.ndarray, baselines: np.ndarray, attributions: np.ndarray
) -> np.ndarray:
    """In words, what a gene does: `absent`, `high` or `low` (against the baseline), and `for` or `against` the target.

    All [rows]. A gene without counts is always `absent`.
    """
    state = np.where(counts == 0, "absent", np.where(log1p_norm >= baselines, "high", "low"))
    side = np.where(attributions > 0, ", for", ", against")
    words: np.ndarray = np.char.add(state, side).astype(object)
    return words


def explain_cells(
    session: ModelSession,
    checked: CheckedCells,
    question: Question,
    baselines: np.ndarray,
    *,
    on_progress: Callable[[int], None] = lambda n_cells: None,
) -> pd.DataFrame:
    """A row for each cell and gene, with the columns `EXPLANATION_COLUMNS`, cells in order.

    `question`: one that has passed its check; `baselines`: float32 [panel genes]. Raises `InputError` with all problems
    of the values.
    """

    def work(chunk: RowChunk) -> tuple[PreparedChunk, pd.DataFrame | None, int]:
        prepared = checked.prepare(chunk)
        frame = None
        if prepared.cells is not None:
            ids = checked.cell_ids[chunk.start : chunk.start + chunk.X.shape[0]]
            explained = attribute_cells(session, prepared.cells, question)
            frame = explanation_frame(
                session, explained, ids, baselines, top=question.top, normalised=checked.normalised
            )
        return prepared, frame, chunk.X.shape[0]

    n_rows = max(16, EXPLAIN_VALUES // max(len(session.bundle.panel), 1))
    frames = [pd.DataFrame(columns=list(EXPLANATION_COLUMNS))]
    for prepared, frame, n_cells in in_order(work, checked.source.chunks(n_rows)):
        checked.record(prepared)
        if frame is not None:
            frames.append(frame)
        on_progress(n_cells)
    checked.finish()
    return pd.concat(frames[1:] or frames, ignore_index=True)
