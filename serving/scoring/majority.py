"""Majority voting: one call for each cluster of cells, beside the calls of the cells; and clusters computed for it."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.checks.likely_columns import columns_in_words
from cellmark.schemas.columns import CELL_TYPE, CLUSTER, CONFIDENCE, MAJORITY_CELL_TYPE, MAJORITY_SHARE, calls_among
from cellmark.schemas.errors import InputError, ParameterError
from cellmark.schemas.near_names import given_as, near_names

from .training_steps import load_clusters_step

RESOLUTIONS = ((5_000, 5.0), (20_000, 10.0), (40_000, 15.0), (100_000, 20.0), (200_000, 25.0))
"""Cells below which a resolution is taken, and that resolution; CellTypist's (Dominguez Conde et al. 2022, Science
376:eabl5197), which divide further than types differ."""
MOST_CELLS = 200_000
"""Clustering needs all cells at once: about 50 kB of memory for a cell with 2,000 genes."""


@dataclass(frozen=True, kw_only=True)
class ComputedClusters:
    """Leiden clusters to vote over, in place of given ones: `annotate(adata, over=ComputedClusters())`.

    `resolution`: more gives smaller clusters; None takes one by the number of cells, from 5 (below 5,000) to 30. The
    same cells and `seed` give the same clusters. Raises `ParameterError`, and `SetupError` (`EXTRA_MISSING`) without
    scanpy and graspologic-native.

    Examples
    --------
    >>> model.annotate(adata, over=cm.ComputedClusters(resolution=1))
    >>> adata.obs["cellmark_majority_cell_type"].cat.categories.tolist()
    ['B cell', 'NK cell', 'T cell']
    """

    resolution: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resolution is not None and not 0.01 <= self.resolution <= 100:
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="resolution",
                expected="from 0.01 to 100",
                found=f"{self.resolution:g}",
                remedy="Omit it for one by the number of cells.",
            )
        load_clusters_step()

    def check(self, n_cells: int) -> None:
        """Raise `InputError` (`INPUT_TOO_LARGE`) for more cells than are clustered at once."""
        if n_cells > MOST_CELLS:
            raise InputError.of(
                "INPUT_TOO_LARGE",
                where="clusters",
                expected=f"at most {MOST_CELLS:,} cells to cluster",
                found=f"{n_cells:,}",
                remedy="Cluster them where there is memory, and name the column with --over.",
            )

    def of(self, source: CellSource) -> pd.Series:
        """The cluster of each cell, in order, `0` the largest. `source`: cells whose values have passed the checks; all
        of them are in memory at once, as a sparse matrix.
        """
        resolution = resolution_for(source.n_obs) if self.resolution is None else self.resolution
        counts = source.load().astype(np.float32)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        codes = load_clusters_step()(counts, resolution=resolution, seed=self.seed)
        names = pd.Index([str(number) for number in range(int(codes.max(initial=-1)) + 1)])
        return pd.Series(pd.Categorical.from_codes(codes, categories=names), index=source.obs.index)


def resolution_for(n_cells: int) -> float:
    """Resolution of Leiden, by the number of cells."""
    return next((resolution for below, resolution in RESOLUTIONS if n_cells < below), 30.0)


Over = str | ArrayLike | ComputedClusters
"""Clusters to vote over: a column of `obs`, a value for each cell, or how to compute them."""


class Vote:
    """A vote over the clusters of one input. Made before any work, so that what cannot be is refused at once.

    Raises `ParameterError` as `clusters_of`, and `InputError` as `ComputedClusters.check`.
    """

    def __init__(self, source: CellSource, cell_ids: np.ndarray, over: Over) -> None:
        self._source, self._over = source, over
        self._given: pd.Series | None = None
        if isinstance(over, ComputedClusters):
            over.check(source.n_obs)
        else:
            self._given = clusters_of(source.obs, cell_ids, over)

    def add_to(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Calls with the columns of `majority_columns` behind the call columns, and computed clusters behind these.

        `frame`: of the same input, so its values have passed the checks.
        """
        computed = self._over.of(self._source) if isinstance(self._over, ComputedClusters) else None
        clusters = self._given if computed is None else computed
        assert clusters is not None  # noqa: S101
        votes = majority_columns(frame, clusters)
        if computed is not None:
            votes[CLUSTER] = computed.array
        own = calls_among(frame.columns)
        joined = pd.concat([frame[own], votes, frame.drop(columns=own)], axis=1)
        joined.attrs = frame.attrs
        return joined


def majority_columns(frame: pd.DataFrame, clusters: pd.Series) -> pd.DataFrame:
    """The call that most cells of a cell's cluster have, and their share, indexed as `frame`.

    `frame`: calls (`Annotator.annotate`), cells by id; `clusters`: of each cell, in the same order (`clusters_of`),
    missing for a cell of none, which gets no majority. `unassigned` is a vote like any other. Of calls with as many
    votes the one with the larger sum of confidences is taken, then the first in the model's order.
    """
    codes, names = pd.factorize(clusters.to_numpy(), use_na_sentinel=True)
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
            ).remove_unused_categories(),
            MAJORITY_SHARE: np.append(share, np.nan)[codes].astype(np.float32),
        },
        index=frame.index,
    )


def clusters_of(obs: pd.DataFrame, cell_ids: np.ndarray, over: str | ArrayLike) -> pd.Series:
    """The cluster of each cell, in order. `over`: a column of `obs`, or a value for each cell: a series that knows the
    cells by id is read by id, anything else in their order.

    Raises `ParameterError` for an unknown column, another number of values, or none but missing ones.
    """
    if isinstance(over, str):
        if obs.columns.tolist().count(over) != 1:
            near = near_names(over, map(str, obs.columns))
            meant = f"Did you mean {given_as('--over', near)}? Or have" if near else "Have"
            raise _wrong(
                "one column of obs with clusters, such as leiden",
                f"{over!r}, where obs has {columns_in_words(obs)}",
                f"{meant} clusters computed: --over-computed (over=ComputedClusters() in Python).",
            )
        clusters = obs[over]
    else:
        clusters = over if isinstance(over, pd.Series) else pd.Series(np.asarray(over).ravel())
        if isinstance(over, pd.Series) and over.index.is_unique:
            places = over.index.get_indexer(pd.Index(cell_ids))
            clusters = over.iloc[places] if (places >= 0).all() else over
        if len(clusters) != len(cell_ids):
            raise _wrong(
                f"a cluster for each of {len(cell_ids)} cells",
                f"{len(clusters)} values",
                "Give one value a cell, by id or in the order of the cells.",
            )
    if len(cell_ids) and clusters.isna().all():
        raise _wrong("clusters of cells", "no value at all", "Name a column of clusters.")
    return clusters


def _wrong(expected: str, found: str, remedy: str) -> ParameterError:
    return ParameterError.of("PARAMETER_INVALID", where="over", expected=expected, found=found, remedy=remedy)
