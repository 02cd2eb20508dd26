"""The explanations of a whole input, chunk by chunk."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.columns import EXPLANATION_COLUMNS

from .attribute import EXPLAIN_VALUES, Question, attribute_cells, explanation_frame
from .score import in_order
from .session import ModelSession


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
