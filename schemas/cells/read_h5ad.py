"""`.h5ad` files, read by rows with bounded memory: large CSC matrices are turned on disk first."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import ReadError
from .cell_source import CellSource, OtherMatrix, RowChunk
from .check_hdf5 import check_hdf5, require_filters, text_attribute
from .file_kind import file_kind, right_name
from .read_anndata import RAW, cells_from_anndata, to_csr
from .read_limits import NO_LIMITS, ReadLimits
from .reading import gene_features, not_anndata, not_mudata, reading, unknown_encoding, unknown_layer
from .row_range import RowRange, slice_cells
from .stored_frame import frame_ids, frame_length, frame_rows
from .stored_matrix import CsrReader, DenseReader, LoadedReader, MatrixReader, open_values
from .turn_on_disk import GROUP, MOST_LOADED, StoredColumns, turn_columns

EXPECTED = "an AnnData file (.h5ad)"
KNOWN_ENCODINGS = {True: {"array": "0.2.0"}, False: {"csr_matrix": "0.1.0", "csc_matrix": "0.1.0"}}
"""AnnData's encodings of a matrix and their versions; by whether it is dense, that is one dataset."""


def open_h5ad(
    path: Path, *, layer: str | None = None, limits: ReadLimits = NO_LIMITS, rows: RowRange | None = None
) -> CellSource:
    """The cells of an `.h5ad`. `layer`: None for `X`, `raw` for `raw.X`, else a layer. `rows`: these cells alone, of
    which no more is read. Close the source after use.

    Raises `ReadError`: not an AnnData, damaged, an unknown layer, links to other files.
    """
    with reading(path, EXPECTED):
        if not h5py.is_hdf5(path):
            raise ReadError.of(
                "FILE_UNREADABLE",
                where=str(path),
                expected=EXPECTED,
                found=f"{(kind := file_kind(path))}, not HDF5",
                remedy=right_name(path, kind),
            )
        file = h5py.File(path, "r")
        try:
            return open_cells_of(file, path, layer=layer, limits=limits, rows=rows)
        except BaseException:
            file.close()
            raise


def open_cells_of(
    file: h5py.File, path: Path, *, layer: str | None, limits: ReadLimits, rows: RowRange | None = None
) -> CellSource:
    """As `open_h5ad`, of an HDF5 file that is open; it is closed with the source. `path`: what to call it."""
    from anndata.io import read_elem

    check_hdf5(file, path)
    if isinstance(file.get("mod"), h5py.Group):
        raise not_mudata(path, list(file["mod"]), f"h5py.File({str(path)!r})")
    if not {"obs", "var"} <= set(file):
        kind = (
            "a 10x file (rename it to .h5)"
            if "matrix" in file
            else f"HDF5 with {', '.join(list(file)[:5]) or 'nothing'}"
        )
        raise not_anndata(path, kind)
    if not (isinstance(file["obs"], h5py.Group) and "encoding-type" in file["obs"].attrs):
        # Layouts from before AnnData 0.7: anndata knows them, and such files are small.
        cells = _old_layout(file, path, layer, limits)
        return cells if rows is None else slice_cells(cells, rows)
    element, var_key, counts_from = _find_matrix(file, layer)
    if element is None:
        raise ReadError.of(
            "MATRIX_INVALID",
            where=counts_from,
            expected="a matrix of counts",
            found="none",
            remedy="Name the layer that holds them.",
        )
    _check_sizes(element, file["obs"], file[var_key], path, limits)
    require_filters(path, element, file["obs"], file[var_key])
    var = read_elem(file[var_key])
    obs = read_elem(file["obs"]) if rows is None else frame_rows(file["obs"], rows)
    n_total = len(obs) if rows is None else frame_length(file["obs"])
    organism = file["uns/organism"][()] if isinstance(file.get("uns/organism"), h5py.Dataset) else None
    uns = {"organism": organism.decode()} if isinstance(organism, bytes) else {}
    others = _other_matrices(file, path, counts_from, limits, rows)
    matrix: MatrixReader
    check_encoding(element, counts_from, path)
    if isinstance(element, h5py.Dataset):
        n_stored, matrix = element.shape[0], DenseReader(element, rows=rows)
    elif text_attribute(element, "encoding-type") == "csr_matrix":
        n_stored, matrix = int(element.attrs["shape"][0]), CsrReader(element, rows=rows)
    elif (turned := _turned(element, path, counts_from, limits)) is not None:
        file.close()
        file = turned
        n_stored, matrix = int(turned[GROUP].attrs["shape"][0]), CsrReader(turned[GROUP], rows=rows)
    else:
        X = to_csr(read_elem(element), counts_from)
        file.close()
        n_stored, matrix = X.shape[0], LoadedReader(X, rows=rows)
    if (n_stored, matrix.shape) != (n_total, (len(obs), len(var))):
        stored = n_stored, matrix.shape[1]
        raise ValueError(f"a matrix of {stored} where obs and var have {(n_total, len(var))}")
    cells = H5adCells(file, path, matrix, obs, var, counts_from, uns, others)
    if rows is not None:
        cells.lies_at(rows.start, n_total)
        cells.layout = matrix.layout(partial(_ids, path))
    return cells


def _ids(path: Path, rows: slice) -> Any:
    """Opened for itself: what is read of the file may be another one by then."""
    with h5py.File(path, "r") as file:
        return frame_ids(file["obs"], rows)


def _turned(group: h5py.Group, path: Path, where: str, limits: ReadLimits) -> h5py.File | None:
    """A matrix by columns, turned on disk, None where it is better loaded."""
    n_cells, n_genes = (int(size) for size in group.attrs["shape"])
    indptr = group["indptr"][()].astype(np.int64)
    columns = StoredColumns(open_values(group, "data"), open_values(group, "indices"), indptr, (n_cells, n_genes))
    return turn_columns(columns, path, {"matrix": where}, limits)


def check_encoding(element: Any, where: str, path: Path) -> None:
    """Raise `ReadError` for a matrix in an encoding that is not known: it may mean something else."""
    kind, version = text_attribute(element, "encoding-type"), text_attribute(element, "encoding-version")
    known = KNOWN_ENCODINGS[not hasattr(element, "keys")]
    # Dense matrices of old files say nothing of themselves.
    if (kind is not None and kind not in known) or (version is not None and version != known.get(str(kind))):
        raise unknown_encoding(
            path, f"{where} in the unknown encoding {str(kind)[:40]!r}, version {str(version)[:40]!r}"
        )


def _find_matrix(file: h5py.File, layer: str | None) -> tuple[Any, str, str]:
    """The element that holds the values, the group of its genes, and what to call it."""
    layers = list(file["layers"]) if "layers" in file else []
    if layer is None:
        return file.get("X"), "var", "X"
    if layer in layers:
        return file["layers"][layer], "var", f"layers[{layer!r}]"
    has_raw = _has_raw(file)
    if layer == RAW and has_raw:
        return file["raw/X"], "raw/var", "raw.X"
    raise unknown_layer(layer, [*layers, *([RAW] if has_raw else [])])


def _has_raw(file: h5py.File) -> bool:
    """Whether there is a `raw`: some writers put a value without content in its place."""
    return isinstance(file.get("raw"), h5py.Group) and "X" in file["raw"]


def _other_matrices(
    file: h5py.File, path: Path, opened: str, limits: ReadLimits, rows: RowRange | None
) -> tuple[OtherMatrix, ...]:
    there: list[tuple[str | None, str, Any]] = [(None, "X", file.get("X"))]
    there += [(name, f"layers[{name!r}]", element) for name, element in file.get("layers", {}).items()]
    if _has_raw(file) and RAW not in file.get("layers", {}):
        there.append((RAW, "raw.X", file["raw/X"]))

    # The process that reads the file may write only what the matrix asked for takes.
    in_memory = replace(limits, max_scratch_bytes=0)

    def rows_of(layer: str | None) -> Callable[[np.ndarray], sp.csr_matrix]:
        def take(numbers: np.ndarray) -> sp.csr_matrix:
            with open_h5ad(path, layer=layer, limits=in_memory, rows=rows) as other:
                return other.take(numbers)

        return take

    return tuple(
        OtherMatrix(layer, where, rows_of(layer))
        for layer, where, element in there
        if where != opened and element is not None and not _too_large(element)
    )


def _too_large(element: Any) -> bool:
    return text_attribute(element, "encoding-type") == "csc_matrix" and len(element["data"]) > MOST_LOADED


def _check_sizes(element: Any, obs: h5py.Group, var: h5py.Group, path: Path, limits: ReadLimits) -> None:
    """Raise `ReadError` for more cells, genes or values than `limits` allow, by what the headers say."""
    n_cells, n_genes = _n_rows(obs), _n_rows(var)
    if isinstance(element, h5py.Dataset):
        shape, n_values = element.shape, element.size or 0
    else:
        shape, n_values = tuple(element.attrs["shape"]), element["data"].size or 0
    if len(shape) != 2:
        raise ValueError(f"a matrix of {len(shape)} dimensions")
    n_cells, n_genes = max(n_cells, int(shape[0])), max(n_genes, int(shape[1]))
    limits.check(str(path), cells=n_cells, genes=n_genes, nonzeros=int(n_values))


def _n_rows(frame: h5py.Group) -> int:
    """Rows of a stored frame by its index, 0 where that does not show."""
    index = frame.get(text_attribute(frame, "_index") or "_index")
    return int(index.size or 0) if isinstance(index, h5py.Dataset) else 0


def _old_layout(file: h5py.File, path: Path, layer: str | None, limits: ReadLimits) -> CellSource:
    import anndata

    for name in ("obs", "var", "X"):
        part = file.get(name)
        if isinstance(part, h5py.Dataset):
            rows = part.shape[0] if part.shape else 0
            sizes = {"obs": {"cells": rows}, "var": {"genes": rows}, "X": {"nonzeros": part.size or 0}}
            limits.check(str(path), **sizes[name])
    file.close()
    return cells_from_anndata(anndata.read_h5ad(path), layer=layer, name=path.name)


class H5adCells(CellSource):
    """An open HDF5 file, or zarr store, whose matrix is read by rows. `expected`: what it should be, for messages."""

    def __init__(
        self,
        file: h5py.File | ExitStack,
        path: Path,
        matrix: MatrixReader,
        obs: pd.DataFrame,
        var: pd.DataFrame,
        counts_from: str,
        uns: dict[str, Any],
        others: tuple[OtherMatrix, ...] = (),
        *,
        expected: str = EXPECTED,
    ) -> None:
        is_gene, self.notes = gene_features(var)
        self._kept = None if is_gene is None else np.flatnonzero(is_gene)
        self._file, self._path, self._matrix, self._expected = file, path, matrix, expected
        self.obs = obs
        self.var = var if is_gene is None else var[is_gene]
        self.var_names = self.var.index.to_numpy(dtype=object).astype(str)
        self.name = path.name
        self.counts_from = counts_from
        self.uns = uns
        self.others = others

    def chunks(self, n_rows: int) -> Iterator[RowChunk]:
        with reading(self._path, self._expected):
            for chunk in self._matrix.blocks(n_rows):
                yield chunk if self._kept is None else RowChunk(chunk.start, chunk.X[:, self._kept])

    def load(self) -> sp.csr_matrix:
        with reading(self._path, self._expected):
            X = self._matrix.load()
            return X if self._kept is None else X[:, self._kept]

    def take(self, rows: np.ndarray) -> sp.csr_matrix:
        with reading(self._path, self._expected):
            X = self._matrix.take(rows)
            return X if self._kept is None else X[:, self._kept]

    def close(self) -> None:
        self._file.close()
