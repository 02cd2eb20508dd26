"""A matrix in a zarr store, cells x genes, read by rows with bounded memory."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import scipy.sparse as sp

from .row_layout import RowLayout
from .row_range import RowRange
from .stored_matrix import BLOCK_VALUES, CsrReader, DenseReader, dense_to_csr
from .zarr_files import CheckedArray, CheckedGroup

# zarr keeps no storage chunk that it has unpacked, as HDF5 does: what lies in the same one is read at once.


class ZarrDenseReader(DenseReader):
    """A dense array."""

    def __init__(self, array: CheckedArray, *, rows: RowRange) -> None:
        super().__init__(array, rows=rows)

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        chunks = (rows + self.first) // self.dataset.chunks[0]
        pieces = [self._between(some) for some in np.split(rows, np.flatnonzero(np.diff(chunks)) + 1) if len(some)]
        return sp.vstack(pieces, format="csr") if pieces else sp.csr_matrix((0, self.shape[1]), dtype=np.float32)

    def layout(self, ids: Callable[[slice], Any]) -> RowLayout:
        shards = self.dataset.shards
        whole = super().layout(ids)
        return whole if shards is None else replace(whole, steps=(shards[0], *whole.steps))

    def _between(self, rows: np.ndarray) -> sp.csr_matrix:
        block = self._rows(slice(self.first + int(rows[0]), self.first + int(rows[-1]) + 1))
        return dense_to_csr(block[rows - rows[0]])


class ZarrCsrReader(CsrReader):
    """A group with `data`, `indices` and `indptr`.

    zarr takes a missing file for a block of zeros, and writers leave such blocks out. Sparse values are hardly ever a
    block of zeros, so their absence is damage; a block of zero indices is, when a cell has the same gene twice.
    """

    def __init__(self, group: CheckedGroup, *, rows: RowRange) -> None:
        super().__init__(group, rows=rows)
        self.block_values = max(BLOCK_VALUES, self.data.chunks[0])

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        pieces = [self._rows(int(some[0]), int(some[-1]) + 1)[some - some[0]] for some in self._together(rows)]
        return sp.vstack(pieces, format="csr") if pieces else sp.csr_matrix((0, self.shape[1]), dtype=np.float32)

    def _open(self, group: Any, name: str) -> CheckedArray:
        array: CheckedArray = group[name]
        if array.ndim != 1:
            raise ValueError(f"{name} of the sparse matrix is not a list of values")
        return array

    def _rows(self, start: int, end: int) -> sp.csr_matrix:
        X = super()._rows(start, end)
        values = slice(int(self.indptr[start]), int(self.indptr[end]))
        if self.data.misses(values) or (self.indices.misses(values) and not unique_entries(X)):
            raise ValueError("files of the sparse matrix are missing from the folder")
        return X

    def _together(self, rows: np.ndarray) -> Iterator[np.ndarray]:
        """Rows whose values span no more than a storage chunk."""
        first = 0
        for place in range(1, len(rows) + 1):
            if place == len(rows) or self.indptr[rows[place] + 1] - self.indptr[rows[first]] > self.data.chunks[0]:
                yield rows[first:place]
                first = place


def unique_entries(X: Any) -> bool:
    """Whether no entry of a CSR or CSC matrix is stored twice."""
    ordered = X.sorted_indices()
    return bool(ordered.has_canonical_format)
