"""Calls as a frame of one row per cell, and as columns of an AnnData."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from cellmark.schemas.columns import (
    BEST_CELL_TYPE,
    CELL_ID,
    CELL_TYPE,
    COARSE_CELL_TYPE,
    COARSE_PROBABILITY,
    CONFIDENCE,
    LABEL_SET,
    MARGIN,
    NOVELTY,
    SECOND_CELL_TYPE,
    UNASSIGNED,
    UNS_KEY,
)
from cellmark.schemas.errors import Finding, ParameterError

from .call_rules import CallRules
from .label_sets import set_column
from .score import Calls

if TYPE_CHECKING:
    from anndata import AnnData


def calls_frame(calls: Calls, cell_ids: np.ndarray, cell_types: list[str], rules: CallRules) -> pd.DataFrame:
    """Calls as a frame indexed by cell id; type columns are categorical, with the model's types in their order."""
    names = pd.Index(cell_types)
    called, novelty, coarse = calls.best, calls.novelty, calls.coarse
    categories = names
    if novelty is not None and rules.novelty_threshold is not None:
        categories = names.append(pd.Index([UNASSIGNED]))
        # Written so that NaN, which is like nothing, is unassigned too.
        assigned = novelty <= rules.novelty_threshold
        called = np.where(assigned, calls.best, len(names))
        if coarse is not None:
            coarse = np.where(assigned, coarse, -1)
    nothing = np.full(len(cell_ids), np.nan, dtype=np.float32)
    coarse_names = list(rules.coarse_names) if coarse is not None else []
    coarse_probability = calls.coarse_probability
    frame = pd.DataFrame(
        {
            CELL_TYPE: pd.Categorical.from_codes(called, categories=categories),
            BEST_CELL_TYPE: pd.Categorical.from_codes(calls.best, categories=names),
            CONFIDENCE: calls.confidence,
            SECOND_CELL_TYPE: pd.Categorical.from_codes(calls.second, categories=names),
            MARGIN: calls.margin,
            NOVELTY: nothing if novelty is None else novelty,
            LABEL_SET: set_column(calls.sets, len(cell_ids), cell_types),
            COARSE_CELL_TYPE: pd.Categorical.from_codes(
                np.full(len(cell_ids), -1) if coarse is None else coarse,
                categories=pd.Index(coarse_names, dtype=object),
            ),
            COARSE_PROBABILITY: nothing
            if coarse is None or coarse_probability is None
            else np.where(coarse >= 0, coarse_probability, np.float32("nan")),
        },
        index=pd.Index(cell_ids, name=CELL_ID),
    )
    if calls.probabilities is not None:
        columns = [f"probability:{name}" for name in cell_types]
        frame = frame.join(pd.DataFrame(calls.probabilities, index=frame.index, columns=columns))
    return frame


def check_same_cells(theirs: pd.Index, ours: pd.Index) -> None:
    """Raise `ParameterError` unless an AnnData to write to has the cells that are annotated, in any order."""
    if len(theirs) != len(ours) or not theirs.isin(ours).all():
        raise ParameterError(
            Finding("PARAMETER_INVALID", "copy_to", "an AnnData with the cells that are annotated",
                    f"{len(ours)} cells, {int(theirs.isin(ours).sum())} of them among the {len(theirs)} annotated",
                    "Pass the AnnData that is annotated, or a copy of it.")
        )  # fmt: skip


def copy_calls(frame: pd.DataFrame, adata: "AnnData") -> None:
    """Write calls (`Annotator.annotate`'s frame) into `obs` and their facts, as AnnData can store them, into `uns`."""
    from ..outputs.write_calls import storable, written_columns

    for column in written_columns(frame):
        adata.obs[column] = frame[column].reindex(adata.obs_names)
    adata.uns[UNS_KEY] = storable(frame.attrs[UNS_KEY])
