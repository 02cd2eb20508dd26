"""Majority voting: one call for each cluster of cells, beside the calls of the cells."""

import numpy as np
import pandas as pd

from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE, MAJORITY_CELL_TYPE, MAJORITY_SHARE
from cellmark.schemas.errors import Finding, ParameterError


def majority_columns(frame: pd.DataFrame, clusters: pd.Series, *, where: str) -> pd.DataFrame:
    """The call that most cells of a cell's cluster have, and their share, indexed as `frame`.

    `frame`: calls (`Annotator.annotate`), cells by id; `clusters`: of each cell, in the same order, missing for a cell
    of none, which gets no majority. `unassigned` is a vote like any other. Of calls with equally many votes the one
    with the larger sum of confidences is taken, then the first in the model's order. `where`: what the clusters are
    called. Raises `ParameterError` where there is not one cluster for each cell, or none at all.
    """
    if len(clusters) != len(frame):
        raise ParameterError(
            Finding("PARAMETER_INVALID", where, f"a cluster for each of {len(frame)} cells", f"{len(clusters)} values",
                    "Give one value a cell, in the order of the cells.")
        )  # fmt: skip
    codes, names = pd.factorize(clusters.to_numpy(), use_na_sentinel=True)
    if len(names) == 0 and len(frame):
        raise ParameterError(
            Finding("PARAMETER_INVALID", where, "clusters of cells", "no value at all", "Name a column of clusters.")
        )
    calls = frame[CELL_TYPE]
    n_calls = len(calls.cat.categories)
    inside = codes >= 0
    place = codes[inside] * n_calls + calls.cat.codes.to_numpy()[inside].astype(np.int64)
    shape = len(names), n_calls
    votes = np.bincount(place, minlength=len(names) * n_calls).reshape(shape)
    confidence = frame[CONFIDENCE].to_numpy(dtype=float)[inside]
    sums = np.bincount(place, weights=confidence, minlength=len(names) * n_calls).reshape(shape)
    most = votes == votes.max(axis=1, keepdims=True)
    winner = np.where(most, sums, -1.0).argmax(axis=1)
    share = votes[np.arange(len(names)), winner] / np.maximum(votes.sum(axis=1), 1)
    # The last entries stand for cells of no cluster, whose code is -1.
    return pd.DataFrame(
        {
            MAJORITY_CELL_TYPE: pd.Categorical.from_codes(
                np.append(winner, -1)[codes], categories=calls.cat.categories
            ),
            MAJORITY_SHARE: np.append(share, np.nan)[codes].astype(np.float32),
        },
        index=frame.index,
    )


def clusters_of(obs: pd.DataFrame, column: str) -> pd.Series:
    """A column of clusters. Raises `ParameterError` where obs has none, or several, of that name."""
    if column not in obs.columns or obs.columns.tolist().count(column) > 1:
        columns = ", ".join(map(str, obs.columns[:10])) or "no columns"
        raise ParameterError(
            Finding("PARAMETER_INVALID", "over", "one column of obs with clusters, such as leiden",
                    f"{column!r}, where obs has {columns}",
                    "Name one of them, or cluster the cells first (scanpy.tl.leiden).")
        )  # fmt: skip
    return obs[column]
