"""A matrix in an HDF5 file, cells x genes, read by rows with bounded memory."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import h5py
import numpy as np
import scipy.sparse as sp

from ..normalization import slice_rows
from .cell_source import RowChunk
from .gzip_values import GzipValues, fast_values
from .row_layout import RowLayout, blocks_of_rows
from .row_range import RowRange

BLOCK_VALUES = 4_000_000
"""Values read from the file at once (32 MB with their indices); chunks of rows are views into such a block."""

MOST_HELD = 100 * BLOCK_VALUES
"""Values of a dense matrix whose rows are held together, sparse, where storage chunks are long."""

CHUNK_CACHE = 32 * 1024**2
"""HDF5's cache for a dataset, so that a storage chunk that two blocks share is unpacked once."""

CACHE_SLOTS = 10_007
"""A prime well above the number of storage chunks in the cache, as the HDF5 library advises."""
NOT_FITTING = "row pointers of the sparse matrix that do not fit its values"


class MatrixReader(ABC):
    """`shape`: cells, genes."""

    shape: tuple[int, int]

    @abstractmethod
    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        """All rows in order, at most `n_rows` at a time."""

    @abstractmethod
    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        """A few rows, numbers ascending: no more is read than these."""

    @abstractmethod
    def layout(self, ids: Callable[[slice], Any]) -> RowLayout:
        """How all rows lie in the file, also where this reads some of them. `ids`: those of rows."""

    def load(self) -> sp.csr_matrix:
        """All rows at once."""
        pieces = [chunk.X for chunk in self.blocks(max(self.shape[0], 1))]
        return sp.vstack(pieces, format="csr") if pieces else sp.csr_matrix(self.shape, dtype=np.float32)


class LoadedReader(MatrixReader):
    """A matrix that had to be loaded whole, or some rows of it."""

    def __init__(self, X: sp.csr_matrix, *, rows: RowRange | None = None) -> None:
        self.X, self.n_values = X if rows is None else X[rows.slice], int(X.nnz)
        self.shape = self.X.shape

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        for start in range(0, self.shape[0], n_rows):
            yield RowChunk(start, slice_rows(self.X, start, min(start + n_rows, self.shape[0])))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        return self.X[rows]

    def layout(self, ids: Callable[[slice], Any]) -> RowLayout:
        return RowLayout(self.n_values, ids)

    def load(self) -> sp.csr_matrix:
        return self.X


class DenseReader(MatrixReader):
    """A dense dataset, or some rows of it. `turned`: genes are its rows."""

    def __init__(self, dataset: h5py.Dataset, *, turned: bool = False, rows: RowRange | None = None) -> None:
        if dataset.dtype.kind not in "fiub" or dataset.ndim != 2:
            raise ValueError(f"X holds {dataset.dtype} of {dataset.ndim} dimensions, not a matrix of numbers")
        self.dataset, self.turned = dataset, turned
        n_cells, n_genes = dataset.shape[::-1] if turned else dataset.shape
        self.first = 0 if rows is None else rows.start
        self.shape = n_cells if rows is None else len(rows), n_genes

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        # Whole storage chunks at a time, so that none is read twice, unless they are too large to be held.
        stored, n_genes = self._stored_rows(), max(self.shape[1], 1)
        step = max(min(stored, MOST_HELD // n_genes), BLOCK_VALUES // n_genes // stored * stored, 1)
        first, end = self.first, self.first + self.shape[0]
        for block_start in range(first // step * step, end, step):
            begin = max(block_start, first)
            rows = slice(begin, min(block_start + step, end))
            if (rows.stop - rows.start) * n_genes > 4 * BLOCK_VALUES:
                X = self._by_genes(rows)
                for start in range(0, X.shape[0], n_rows):
                    yield RowChunk(begin - first + start, slice_rows(X, start, min(start + n_rows, X.shape[0])))
                continue
            block = self._rows(rows)
            for start in range(0, len(block), n_rows):
                yield RowChunk(begin - first + start, dense_to_csr(block[start : start + n_rows]))

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        if self._stored_rows() * self.shape[1] > 4 * BLOCK_VALUES and len(rows):
            chunks = (rows + self.first) // self._stored_rows()
            together = np.split(rows + self.first, np.flatnonzero(np.diff(chunks)) + 1)
            pieces = [self._by_genes(slice(int(some[0]), int(some[-1]) + 1), some - some[0]) for some in together]
            return sp.vstack(pieces, format="csr")
        block = np.empty((len(rows), self.shape[1]), dtype=self.dataset.dtype)
        for place, row in enumerate(rows):
            block[place] = self._rows(self.first + int(row))
        return dense_to_csr(native(block))

    def layout(self, ids: Callable[[slice], Any]) -> RowLayout:
        return RowLayout(int(self.dataset.size), ids, steps=(self._stored_rows(),))

    def _stored_rows(self) -> int:
        """Rows of one storage chunk."""
        return int(self.dataset.chunks[self.turned]) if self.dataset.chunks else 1

    def _by_genes(self, rows: slice, some: np.ndarray | slice = slice(None)) -> sp.csr_matrix:
        """Rows of storage chunks that are long, or `some` of them by their number: never all dense at once."""
        n_genes = self.shape[1]
        stored = self.dataset.chunks[not self.turned] if self.dataset.chunks else 1
        step = max(BLOCK_VALUES // (rows.stop - rows.start) // stored * stored, stored)
        pieces = []
        for start in range(0, n_genes, step):
            genes = slice(start, min(start + step, n_genes))
            block = self.dataset[genes, rows].T if self.turned else self.dataset[rows, genes]
            pieces.append(dense_to_csr(native(np.ascontiguousarray(block[some]))))
        return sp.hstack(pieces, format="csr")

    def _rows(self, rows: slice | int) -> np.ndarray:
        if not self.turned:
            return native(self.dataset[rows])
        return native(np.ascontiguousarray(self.dataset[:, rows].T))


class CsrReader(MatrixReader):
    """A group with `data`, `indices` and `indptr`, or some rows of it: then no other row pointers are read. `shape`:
    where the group does not say.
    """

    block_values = BLOCK_VALUES

    def __init__(self, group: Any, *, shape: tuple[int, int] | None = None, rows: RowRange | None = None) -> None:
        self.data, self.indices = self._open(group, "data"), self._open(group, "indices")
        n_cells, n_genes = group.attrs["shape"] if shape is None else shape
        self.shape = (int(n_cells), int(n_genes))
        self.pointers, self.n_stored = group["indptr"], self.shape[0]
        self.indptr = read_pointers(self.pointers, self.n_stored, len(self.data), rows=rows)
        if rows is not None:
            self.shape = len(rows), self.shape[1]
        kinds = self.data.dtype.kind, self.indices.dtype.kind
        if kinds[0] not in "fiub" or kinds[1] not in "iu":
            raise ValueError(f"sparse values of {self.data.dtype} with indices of {self.indices.dtype}")
        if len(self.data) != len(self.indices):
            raise ValueError(NOT_FITTING)

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        n_obs = self.shape[0]
        start = 0
        while start < n_obs:
            # As many rows as fit a block, and at least one.
            end = int(np.searchsorted(self.indptr, self.indptr[start] + self.block_values, side="right")) - 1
            end = min(max(end, start + 1), n_obs)
            if end < n_obs and end - start > n_rows:
                end = start + (end - start) // n_rows * n_rows
            block = self._rows(start, end)
            for row in range(start, end, n_rows):
                yield RowChunk(row, slice_rows(block, row - start, min(row + n_rows, end) - start))
            start = end

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        pieces = [self._rows(int(row), int(row) + 1) for row in rows]
        return sp.vstack(pieces, format="csr") if pieces else sp.csr_matrix((0, self.shape[1]), dtype=np.float32)

    def load(self) -> sp.csr_matrix:
        # In one go: joining blocks would hold the matrix twice.
        return self._rows(0, self.shape[0])

    def layout(self, ids: Callable[[slice], Any]) -> RowLayout:
        n_values = len(self.data)

        def ends() -> Iterator[np.ndarray]:
            for rows in blocks_of_rows(self.n_stored):
                yield read_pointers(self.pointers, self.n_stored, n_values, rows=RowRange(rows.start, rows.stop))[1:]

        return RowLayout(n_values, ids, ends=ends)

    def _open(self, group: Any, name: str) -> Any:
        return open_values(group, name)

    def _rows(self, start: int, end: int) -> sp.csr_matrix:
        first, last = int(self.indptr[start]), int(self.indptr[end])
        data, indices = native(self.data[first:last]), self.indices[first:last]
        if len(indices) and (indices.min() < 0 or indices.max() >= self.shape[1]):
            raise ValueError("column indices of the sparse matrix outside its genes")
        indptr = self.indptr[start : end + 1] - first
        # Pointers and indices of one type spare SciPy a converted copy.
        index_type = np.int32 if last - first < 2**31 else np.int64
        parts = data, indices.astype(index_type, copy=False), indptr.astype(index_type, copy=False)
        return sp.csr_matrix(parts, shape=(end - start, self.shape[1]), copy=False)


def read_pointers(stored: Any, n_rows: int, n_values: int, *, rows: RowRange | None = None) -> np.ndarray:
    """Where the values of each row begin and the last one's end, int64, of all `n_rows` or of some. `stored`: an HDF5
    or zarr array. Raises `ValueError` unless they rise, from 0 to `n_values` where they are all.
    """
    if stored.dtype.kind not in "iu":
        raise ValueError(f"row pointers of {stored.dtype}")
    if stored.shape != (n_rows + 1,):
        raise ValueError(NOT_FITTING)
    first, last = (0, n_rows) if rows is None else (rows.start, rows.stop)
    pointers: np.ndarray = stored[first : last + 1].astype(np.int64)
    ends = (pointers[0] == 0 if first == 0 else pointers[0] >= 0) and (
        pointers[-1] == n_values if last == n_rows else pointers[-1] <= n_values
    )
    if not ends or (np.diff(pointers) < 0).any():
        raise ValueError(NOT_FITTING)
    return pointers


def open_values(group: h5py.Group, name: str) -> h5py.Dataset | GzipValues:
    """A dataset whose cache holds at least one storage chunk, however large its writer made them."""
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
        raise ValueError(f"{group.name}/{name} is not a list of values")
    chunk_bytes = dataset.chunks[0] * dataset.dtype.itemsize if dataset.chunks else 0
    # The size of the cache is settled when a dataset is opened, so this one is closed first.
    del dataset
    access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
    access.set_chunk_cache(CACHE_SLOTS, max(CHUNK_CACHE, chunk_bytes), 0.75)
    return fast_values(h5py.Dataset(h5py.h5d.open(group.id, name.encode(), access)))


def native(values: np.ndarray) -> np.ndarray:
    """The same numbers in a type that SciPy's sparse matrices take: this machine's byte order, no half precision."""
    kind, size = values.dtype.kind, values.dtype.itemsize
    if kind == "f" and size not in (4, 8):
        return values.astype(np.float32 if size < 4 else np.float64)
    return values if values.dtype.isnative else values.astype(values.dtype.newbyteorder("="))


def dense_to_csr(block: np.ndarray) -> sp.csr_matrix:
    """CSR of a dense matrix; NaN is kept. Twice as fast as SciPy, which goes through coordinates."""
    n_rows, n_columns = block.shape
    nonzero = block != 0
    places = np.flatnonzero(nonzero)
    counts = np.count_nonzero(nonzero, axis=1)
    indptr = np.zeros(n_rows + 1, dtype=np.int64)
    np.cumsum(counts, out=indptr[1:])
    indices = (places - np.repeat(np.arange(n_rows) * n_columns, counts)).astype(np.int32)
    return sp.csr_matrix((block.ravel()[places], indices, indptr), shape=block.shape)
