"""Some consecutive cells of an input, in place of all: the part of it that a shard of a batch is."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..errors import ParameterError
from .cell_source import CellSource, MemoryCells, OtherMatrix


@dataclass(frozen=True, slots=True)
class RowRange:
    """Cells `start` to `stop` of an input, counted from 0, the last one not included.

    Raises `ParameterError` for a range without cells, or one that begins before the first.
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise _invalid(self, "a range of at least one cell, from 0 on", "Give a stop that is above the start.")

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        return slice(self.start, self.stop)

    def require_within(self, n_total: int) -> None:
        """Raise `ParameterError` unless an input of `n_total` cells has all of these."""
        if self.stop > n_total:
            remedy = "Give a range within the file; where it has changed since it was planned, plan again."
            raise _invalid(self, f"a range within the {n_total:,} cells of the input", remedy)


def _invalid(rows: RowRange, expected: str, remedy: str) -> ParameterError:
    return ParameterError.of(
        "PARAMETER_INVALID", where="rows", expected=expected, found=f"{rows.start} to {rows.stop}", remedy=remedy
    )


def slice_cells(source: CellSource, rows: RowRange) -> MemoryCells:
    """These cells of a source that is loaded whole, which is closed: for formats that cannot be read by rows."""
    with source:
        rows.require_within(source.n_obs)
        cells = MemoryCells(
            source.load()[rows.slice],
            source.var_names,
            source.obs.iloc[rows.slice],
            name=source.name,
            counts_from=source.counts_from,
            notes=source.notes,
            uns=source.uns,
            var=source.var,
            others=tuple(OtherMatrix(other.layer, other.where, _taking(other, rows)) for other in source.others),
        )
        cells.lies_at(rows.start, source.n_obs)
        return cells


def _taking(other: OtherMatrix, rows: RowRange) -> Callable[[np.ndarray], sp.csr_matrix]:
    return lambda numbers: other.take(numbers + rows.start)
