"""Cells of one input, read by rows: what every reader returns and everything else takes."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType
from typing import Any, Self

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding
from ..normalization import slice_rows
from .row_layout import RowLayout


@dataclass(frozen=True, slots=True)
class RowChunk:
    """Consecutive cells. `start`: number of the first. `X`: CSR, cells x all genes of the input, as in the file."""

    start: int
    X: sp.csr_matrix


@dataclass(frozen=True, slots=True)
class OtherMatrix:
    """Another matrix of the same input, unread. `layer`: what opens it, None for `X`. `where`: what to call it.
    `take`: its rows of some cells, CSR; numbers of cells ascending.
    """

    layer: str | None
    where: str
    take: Callable[[np.ndarray], sp.csr_matrix]


class CellSource(ABC):
    """Cells of one input.

    `var_names`: gene names as in the file, unicode [genes], duplicates kept. `obs`: one row per cell, indexed by cell
    id. `name`: what to call the input in messages. `counts_from`: where the values came from (`X`, `raw.X`,
    `layers['counts']`). `notes`: what the reader did that the user should know. `var`: one row per gene, in the order
    of `var_names`. `uns`: what the file says of itself, of which only `organism` is used. `others`: matrices that
    could have been opened instead, looked into only when these values are refused. `normalised`: the values are counts
    per 10,000, proved, and depth is not known. `annotated`: False where neither `obs` nor `var` has columns, so that
    nobody needs to look. `first_row`: number of the first of these cells in the whole input, of which a source may be
    some rows (`RowRange`); everything else counts from it. `layout`: how the rows of the whole lie in its file, where
    that was asked for.
    """

    name: str
    var_names: np.ndarray
    obs: pd.DataFrame
    var: pd.DataFrame
    counts_from: str = "X"
    notes: tuple[Finding, ...] = ()
    uns: dict[str, Any]
    others: tuple[OtherMatrix, ...] = ()
    normalised: bool = False
    annotated: bool = True
    first_row: int = 0
    layout: RowLayout | None = None
    _n_total: int | None = None

    @property
    def n_obs(self) -> int:
        return len(self.obs)

    @property
    def n_total(self) -> int:
        """Cells of the whole input."""
        return self.n_obs if self._n_total is None else self._n_total

    def lies_at(self, first_row: int, n_total: int) -> None:
        """Say where in an input of `n_total` cells these are."""
        self.first_row, self._n_total = first_row, n_total

    @property
    def n_vars(self) -> int:
        return len(self.var_names)

    @property
    def cell_ids(self) -> np.ndarray:
        """Cell ids in file order, unicode [cells]."""
        return self.obs.index.to_numpy(dtype=object).astype(str)

    @abstractmethod
    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        """All cells in file order, at most `n_rows` at a time. Values keep the file's dtype."""

    def load(self) -> sp.csr_matrix:
        """All cells at once: CSR, cells x genes."""
        pieces = [chunk.X for chunk in self.chunks(max(self.n_obs, 1))]
        if not pieces:
            return sp.csr_matrix((0, self.n_vars), dtype=np.float32)
        return pieces[0] if len(pieces) == 1 else sp.vstack(pieces, format="csr")

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        """Some cells: CSR, in the order of `rows`, numbers of cells ascending."""
        pieces = [sp.csr_matrix((0, self.n_vars), dtype=np.float32)]
        for chunk in self.chunks(max(self.n_obs, 1)):
            first, last = np.searchsorted(rows, [chunk.start, chunk.start + chunk.X.shape[0]])
            if last > first:
                pieces.append(chunk.X[rows[first:last] - chunk.start])
        return pieces[-1] if len(pieces) <= 2 else sp.vstack(pieces[1:], format="csr")

    def close(self) -> None:
        """Release the file. Safe to call twice."""
        return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class MatrixCells(CellSource):
    """Cells whose counts are in memory. `X`: CSR, cells x genes."""

    X: sp.csr_matrix

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        for start in range(0, self.X.shape[0], n_rows):
            yield RowChunk(start, slice_rows(self.X, start, min(start + n_rows, self.X.shape[0])))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        if len(rows) == self.X.shape[0] and np.array_equal(rows, np.arange(len(rows))):
            return self.X
        return self.X[rows[: np.searchsorted(rows, self.X.shape[0])]]


@dataclass
class MemoryCells(MatrixCells):
    """Cells that already are in memory: an AnnData, a table, a request. `X`: CSR, cells x genes."""

    X: sp.csr_matrix
    var_names: np.ndarray
    obs: pd.DataFrame
    name: str = "input"
    counts_from: str = "X"
    notes: tuple[Finding, ...] = ()
    uns: dict[str, Any] = field(default_factory=dict)
    var: pd.DataFrame = field(default_factory=pd.DataFrame)
    others: tuple[OtherMatrix, ...] = ()

    def __post_init__(self) -> None:
        if len(self.var) != len(self.var_names):
            self.var = pd.DataFrame(index=pd.Index(np.asarray(self.var_names, dtype=object)))


class NamedCells(MatrixCells):
    """Cells of a request: counts with names and nothing else, at as little cost. `var_names`, `cell_ids`: object
    [genes], [cells].
    """

    annotated = False

    def __init__(
        self, X: sp.csr_matrix, var_names: np.ndarray, cell_ids: np.ndarray, *, name: str, counts_from: str
    ) -> None:
        self.X, self.var_names, self._cell_ids = X, var_names, cell_ids
        self.name, self.counts_from, self.uns = name, counts_from, {}

    @cached_property
    def obs(self) -> pd.DataFrame:  # type: ignore[override]
        return pd.DataFrame(index=pd.Index(self._cell_ids, dtype=object))

    @cached_property
    def var(self) -> pd.DataFrame:  # type: ignore[override]
        return pd.DataFrame(index=pd.Index(self.var_names, dtype=object))

    @property
    def n_obs(self) -> int:
        return len(self._cell_ids)

    @property
    def cell_ids(self) -> np.ndarray:
        return self._cell_ids
