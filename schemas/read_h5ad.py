"""`.h5ad` files, read by rows with bounded memory: CSR and dense matrices are streamed, CSC is loaded whole."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.cells import CellSource, MemoryCells, RowChunk
from cellmark.schemas.check_hdf5 import check_hdf5
from cellmark.schemas.errors import Finding, ReadError
from cellmark.schemas.read_anndata import RAW, cells_from_anndata, to_csr
from cellmark.schemas.reading import gene_features, not_anndata, reading, unknown_layer

EXPECTED = "an AnnData file (.h5ad)"
BLOCK_VALUES = 4_000_000
"""Values read from the file at once (32 MB with their indices); chunks of rows are views into such a block."""

CHUNK_CACHE = 32 * 1024**2
"""HDF5's cache for each dataset, so that a storage chunk across two blocks is read and unpacked once."""


def open_h5ad(path: Path, *, layer: str | None = None) -> CellSource:
    """The cells of an `.h5ad`. `layer`: None for `X`, `raw` for `raw.X`, else a layer. Close the source after use.

    Raises `ReadError`: not an AnnData, damaged, an unknown layer, links to other files.
    """
    with reading(path, EXPECTED):
        if not h5py.is_hdf5(path):
            raise ReadError(
                Finding("FILE_UNREADABLE", str(path), EXPECTED, "a file that is not HDF5",
                        "Check that the file is complete, and that its extension is right.")
            )  # fmt: skip
        file = h5py.File(path, "r", rdcc_nbytes=CHUNK_CACHE, rdcc_nslots=10_007)
        try:
            return _open(file, path, layer)
        except BaseException:
            file.close()
            raise


def _open(file: h5py.File, path: Path, layer: str | None) -> CellSource:
    from anndata.io import read_elem

    check_hdf5(file, path)
    if not {"obs", "var"} <= set(file):
        kind = (
            "a 10x file (rename it to .h5)"
            if "matrix" in file
            else f"HDF5 with {', '.join(list(file)[:5]) or 'nothing'}"
        )
        raise not_anndata(path, kind)
    if not (isinstance(file["obs"], h5py.Group) and "encoding-type" in file["obs"].attrs):
        # Layouts from before AnnData 0.7: anndata knows them, and such files are small.
        return _old_layout(file, path, layer)
    element, var_key, counts_from = _find_matrix(file, layer)
    if element is None:
        raise ReadError(
            Finding("MATRIX_INVALID", counts_from, "a matrix of counts", "none", "Name the layer that holds them.")
        )
    obs, var = read_elem(file["obs"]), read_elem(file[var_key])
    organism = file["uns/organism"][()] if isinstance(file.get("uns/organism"), h5py.Dataset) else None
    uns = {"organism": organism.decode()} if isinstance(organism, bytes) else {}
    matrix: MatrixReader
    if isinstance(element, h5py.Dataset):
        matrix = DenseReader(element)
    elif element.attrs.get("encoding-type") == "csr_matrix":
        matrix = CsrReader(element)
    else:
        X = to_csr(read_elem(element), counts_from)
        file.close()
        matrix = LoadedReader(X)
    if matrix.shape != (len(obs), len(var)):
        raise ValueError(f"a matrix of {matrix.shape} where obs and var have {(len(obs), len(var))}")
    return H5adCells(file, path, matrix, obs, var, counts_from, uns)


def _find_matrix(file: h5py.File, layer: str | None) -> tuple[Any, str, str]:
    """The element that holds the values, the group of its genes, and what to call it."""
    layers = list(file["layers"]) if "layers" in file else []
    if layer is None:
        return file.get("X"), "var", "X"
    if layer in layers:
        return file["layers"][layer], "var", f"layers[{layer!r}]"
    has_raw = "raw" in file and "X" in file["raw"]
    if layer == RAW and has_raw:
        return file["raw/X"], "raw/var", "raw.X"
    raise unknown_layer(layer, [*layers, *([RAW] if has_raw else [])])


def _old_layout(file: h5py.File, path: Path, layer: str | None) -> MemoryCells:
    import anndata

    file.close()
    return cells_from_anndata(anndata.read_h5ad(path), layer=layer, name=path.name)


class MatrixReader:
    """A matrix in a file, cells x genes, from which ranges of rows are read."""

    shape: tuple[int, int]

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        """All rows in order, at most `n_rows` at a time."""
        raise NotImplementedError


class LoadedReader(MatrixReader):
    """A matrix that had to be loaded whole."""

    def __init__(self, X: sp.csr_matrix) -> None:
        self.X = X
        self.shape = X.shape

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        for start in range(0, self.shape[0], n_rows):
            yield RowChunk(start, self.X[start : start + n_rows])


class DenseReader(MatrixReader):
    """A dense dataset."""

    def __init__(self, dataset: h5py.Dataset) -> None:
        if dataset.dtype.kind not in "fiub" or dataset.ndim != 2:
            raise ValueError(f"X holds {dataset.dtype} of {dataset.ndim} dimensions, not a matrix of numbers")
        self.dataset = dataset
        self.shape = dataset.shape

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        # Whole storage chunks at a time, so that none is read twice.
        stored = self.dataset.chunks[0] if self.dataset.chunks else 1
        step = max(stored, BLOCK_VALUES // max(self.shape[1], 1) // stored * stored, 1)
        for block_start in range(0, self.shape[0], step):
            block = self.dataset[block_start : block_start + step]
            for start in range(0, len(block), n_rows):
                yield RowChunk(block_start + start, sp.csr_matrix(block[start : start + n_rows]))


class CsrReader(MatrixReader):
    """A group with `data`, `indices` and `indptr`."""

    def __init__(self, group: h5py.Group) -> None:
        self.data, self.indices = group["data"], group["indices"]
        self.shape = (int(group.attrs["shape"][0]), int(group.attrs["shape"][1]))
        self.indptr = group["indptr"][()].astype(np.int64)
        kinds = self.data.dtype.kind, self.indices.dtype.kind
        if kinds[0] not in "fiub" or kinds[1] not in "iu":
            raise ValueError(f"sparse values of {self.data.dtype} with indices of {self.indices.dtype}")
        rises = len(self.indptr) == self.shape[0] + 1 and self.indptr[0] == 0 and (np.diff(self.indptr) >= 0).all()
        if not rises or not self.indptr[-1] == len(self.data) == len(self.indices):
            raise ValueError("row pointers of the sparse matrix that do not fit its values")

    def blocks(self, n_rows: int) -> Iterator[RowChunk]:
        n_obs, n_vars = self.shape
        start = 0
        while start < n_obs:
            # As many rows as fit a block, and at least one.
            end = int(np.searchsorted(self.indptr, self.indptr[start] + BLOCK_VALUES, side="right")) - 1
            end = min(max(end, start + 1), n_obs)
            if end < n_obs and end - start > n_rows:
                end = start + (end - start) // n_rows * n_rows
            first, last = int(self.indptr[start]), int(self.indptr[end])
            data, indices = self.data[first:last], self.indices[first:last]
            if len(indices) and (indices.min() < 0 or indices.max() >= n_vars):
                raise ValueError("column indices of the sparse matrix outside its genes")
            indices = indices.astype(np.int32, copy=False)
            for row in range(start, end, n_rows):
                pointers = self.indptr[row : min(row + n_rows, end) + 1]
                part = slice(int(pointers[0]) - first, int(pointers[-1]) - first)
                rebased = (pointers - pointers[0]).astype(np.int32)
                X = sp.csr_matrix((data[part], indices[part], rebased), shape=(len(rebased) - 1, n_vars), copy=False)
                yield RowChunk(row, X)
            start = end


class H5adCells(CellSource):
    """An open `.h5ad` whose matrix is read by rows."""

    def __init__(
        self,
        file: h5py.File,
        path: Path,
        matrix: MatrixReader,
        obs: pd.DataFrame,
        var: pd.DataFrame,
        counts_from: str,
        uns: dict[str, Any],
    ) -> None:
        is_gene, self.notes = gene_features(var)
        self._kept = None if is_gene is None else np.flatnonzero(is_gene)
        self._file, self._path, self._matrix = file, path, matrix
        self.obs = obs
        self.var = var if is_gene is None else var[is_gene]
        self.var_names = self.var.index.to_numpy(dtype=object).astype(str)
        self.name = path.name
        self.counts_from = counts_from
        self.uns = uns

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        with reading(self._path, EXPECTED):
            for chunk in self._matrix.blocks(n_rows):
                yield chunk if self._kept is None else RowChunk(chunk.start, chunk.X[:, self._kept])

    def close(self) -> None:
        self._file.close()
