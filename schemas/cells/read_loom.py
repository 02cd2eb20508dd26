"""`.loom` files (genes x cells, as loompy and velocyto write them), read by cells with bounded memory."""

from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd

from ..errors import ReadError
from .cell_source import CellSource, OtherMatrix
from .check_hdf5 import check_hdf5, require_filters
from .file_kind import RENAME, file_kind
from .read_h5ad import H5adCells
from .read_limits import NO_LIMITS, ReadLimits
from .reading import reading, unknown_layer
from .row_range import RowRange
from .stored_matrix import DenseReader

EXPECTED = "a loom file (.loom)"
MATRIX = "matrix"
GENE_NAMES = ("Gene", "GeneName", "gene_names", "gene_symbols", "Symbol", "var_names", "Accession", "gene_ids")
CELL_NAMES = ("CellID", "obs_names", "cell_names", "CellId", "Barcode", "barcodes")
"""Attributes that names are found under, the first that there is."""


def open_loom(
    path: Path, *, layer: str | None = None, limits: ReadLimits = NO_LIMITS, rows: RowRange | None = None
) -> CellSource:
    """The cells of a `.loom`, or `rows` of them. `layer`: None for its main matrix, else a layer, such as `spliced`.
    Close after use.

    Raises `ReadError`: not a loom file, damaged, an unknown layer, links to other files.
    """
    with reading(path, EXPECTED):
        if not h5py.is_hdf5(path):
            raise _not_loom(path, f"{file_kind(path)}, not HDF5")
        file = h5py.File(path, "r")
        try:
            return _open(file, path, layer, limits, rows)
        except BaseException:
            file.close()
            raise


def _open(file: h5py.File, path: Path, layer: str | None, limits: ReadLimits, rows: RowRange | None) -> CellSource:
    check_hdf5(file, path)
    main, genes, cells = file.get(MATRIX), file.get("row_attrs"), file.get("col_attrs")
    if not (isinstance(main, h5py.Dataset) and isinstance(genes, h5py.Group) and isinstance(cells, h5py.Group)):
        raise _not_loom(path, f"HDF5 with {', '.join(list(file)[:5]) or 'nothing'}")
    there = {None: main, **file.get("layers", {})}
    if layer not in there:
        raise unknown_layer(str(layer), [name for name in there if name is not None])
    matrix = there[layer]
    limits.check(str(path), cells=matrix.shape[-1], genes=matrix.shape[0], nonzeros=matrix.size or 0)
    require_filters(path, matrix, genes, cells)
    n_cells = int(matrix.shape[-1])
    if rows is not None:
        rows.require_within(n_cells)
    reader = DenseReader(matrix, turned=True, rows=rows)
    obs = _frame(cells, n_cells, CELL_NAMES, slice(None) if rows is None else rows.slice)
    var = _frame(genes, reader.shape[1], GENE_NAMES)
    if "Accession" in var.columns:
        var = var.rename(columns={"Accession": "gene_ids"})
    names = {name: MATRIX if name is None else f"layers[{name!r}]" for name in there}
    others = tuple(
        OtherMatrix(name, names[name], partial(_take, path, name, limits, rows)) for name in there if name != layer
    )
    source = H5adCells(file, path, reader, obs, var, names[layer], {}, others, expected=EXPECTED)
    if rows is not None:
        source.lies_at(rows.start, n_cells)
        source.layout = reader.layout(lambda chosen: _frame(cells, n_cells, CELL_NAMES, chosen, only_names=True).index)
    return source


def _take(path: Path, layer: str | None, limits: ReadLimits, rows: RowRange | None, numbers: np.ndarray) -> Any:
    with open_loom(path, layer=layer, limits=limits, rows=rows) as other:
        return other.take(numbers)


def _frame(
    group: h5py.Group, n_rows: int, named: tuple[str, ...], rows: slice = slice(None), *, only_names: bool = False
) -> pd.DataFrame:
    """The attributes with one value for each of `n_rows`, and those of the first of `named` as index, or numbers."""
    columns: dict[str, np.ndarray] = {}
    for name, values in group.items():
        if only_names and name not in named:
            continue
        if isinstance(values, h5py.Dataset) and values.shape == (n_rows,):
            is_text = h5py.check_string_dtype(values.dtype) is not None
            columns[name] = values.asstr(errors="replace")[rows] if is_text else values[rows]
    index = next((columns.pop(name) for name in named if name in columns), np.arange(n_rows)[rows])
    return pd.DataFrame(columns, index=pd.Index(index.astype(str), dtype=object))


def _not_loom(path: Path, found: str) -> ReadError:
    return ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected=f"{EXPECTED}, with matrix, row_attrs and col_attrs",
        found=found,
        remedy=RENAME,
    )
