"""The genes that drove each call, found as cells are annotated: the strongest few, without rows for each gene."""

from dataclasses import dataclass

import numpy as np

from cellmark.schemas.checks.checked_cells import AlignedCells
from cellmark.schemas.normalization import dense_counts

from ..context import stage
from .session import ModelSession

BLOCK_VALUES = 1_000_000
"""Dense values explained at a time (4 MB): the graph holds about ten arrays of this size. Fewer take longer."""
GROUPS_PER_GENE = 5
"""Groups in which maxima are taken, for each gene that is asked for: more give fewer candidates, and cost more."""


@dataclass(frozen=True)
class StrongestGenes:
    """The genes behind the calls of consecutive cells, rank 1 first, by absolute attribution, equal ones in the panel's
    order.

    `genes`: numbers in the panel, uint16 or int32, cells x k; `attributions`: float32, cells x k, zero (which comes
    last) where fewer genes have any; `convergence_delta`: float32 [cells], what is left of completeness.
    """

    genes: np.ndarray
    attributions: np.ndarray
    convergence_delta: np.ndarray


def explain_calls(
    session: ModelSession, cells: AlignedCells, best: np.ndarray, k: int, *, counts: np.ndarray | None = None
) -> StrongestGenes:
    """The `k` strongest genes (the panel's size where that is less) for or against each cell's best type.

    `best`: numbers of types [cells]; `counts`: as `dense_counts` makes them of these cells, where the caller has them.
    """
    n_cells, n_panel = cells.counts.shape
    k = min(k, n_panel)
    genes = np.zeros((n_cells, k), dtype=np.uint16 if n_panel <= 2**16 else np.int32)
    attributions = np.zeros((n_cells, k), dtype=np.float32)
    delta = np.zeros(n_cells, dtype=np.float32)
    targets = np.eye(len(session.bundle.manifest.cell_types), dtype=np.float32)
    if counts is None:
        counts = dense_counts(cells.counts, cells.measured)
    n_rows = max(16, BLOCK_VALUES // max(n_panel, 1))
    for start in range(0, n_cells, n_rows):
        rows = slice(start, min(start + n_rows, n_cells))
        with stage("explain"):
            values, delta[rows] = session.explain(counts[rows], cells.library_size[rows], targets[best[rows]])
        strongest = strongest_columns(values, k)
        genes[rows] = strongest
        attributions[rows] = np.take_along_axis(values, strongest, axis=1)
    return StrongestGenes(genes, attributions, delta)


def strongest_columns(values: np.ndarray, k: int) -> np.ndarray:
    """Columns of the `k` values of each row that are largest in size, int64, rows x k, the largest first, equal ones in
    the order of columns. `values`: float32, rows x columns, `k` columns at least.
    """
    n_rows, n_columns = values.shape
    strength = np.abs(values)
    n_groups = GROUPS_PER_GENE * k
    width = n_columns // n_groups
    if width < 2:
        return np.argsort(-strength, axis=1, kind="stable")[:, :k]
    # k groups of columns have a maximum of at least the k-th largest maximum, so k values have that size, and no
    # smaller value is among the k largest: few are left to sort.
    maxima = strength[:, : n_groups * width].reshape(n_rows, width, n_groups).max(axis=1)
    bound = np.partition(maxima, n_groups - k, axis=1)[:, n_groups - k]
    row, column = np.divmod(np.flatnonzero(strength >= bound[:, None]), n_columns)
    n_of_row = np.bincount(row, minlength=n_rows)
    first = np.concatenate([[0], np.cumsum(n_of_row)[:-1]])
    place = np.arange(len(row)) - first[row]
    size = np.full((n_rows, n_of_row.max(initial=k)), -1, dtype=values.dtype)
    columns = np.zeros(size.shape, dtype=np.int64)
    size[row, place], columns[row, place] = strength[row, column], column
    order = np.argsort(-size, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(columns, order, axis=1)
