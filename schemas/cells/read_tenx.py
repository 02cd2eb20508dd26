"""10x Genomics output: the `.h5` of Cell Ranger (version 2, version 3 and later), also as CellBender writes it."""

import re
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import Finding, ReadError
from ..normalization import row_sums
from .cell_source import CellSource, MemoryCells
from .check_hdf5 import check_hdf5, require_filters
from .file_kind import RENAME, file_kind
from .read_h5ad import H5adCells
from .read_limits import NO_LIMITS, ReadLimits
from .reading import GENE_EXPRESSION, gene_features, not_anndata, reading
from .row_range import RowRange
from .stored_matrix import CsrReader

EXPECTED_H5 = "a 10x Genomics file (.h5)"
RAW = re.compile(r"^raw$|raw(?=_(feature|gene)_bc_matri)|(?<=_)un(?=filtered$)")
"""In a part of a path: all barcodes, with cells or without."""
OTHER_FEATURES = re.compile(r"capture|antibod|antigen|crispr|peaks|custom|multiplex|hash", re.IGNORECASE)
"""In the types of features that a file of cells may have beside genes."""
FEW_COUNTS = 20
"""Counts of a barcode below which it holds no cell, in a matrix that is said to be of all barcodes."""
VERSION_2 = {"barcodes", "data", "genes", "gene_names", "indices", "indptr", "shape"}


def read_tenx_h5(path: Path, *, limits: ReadLimits = NO_LIMITS, rows: RowRange | None = None) -> CellSource:
    """The cells of a 10x `.h5`: `var_names` are symbols, `var["gene_ids"]` Ensembl ids. `rows`: these cells alone; the
    source is closed after use then, and whether most barcodes are empty is for its `layout` to check.

    10x stores genes x cells by columns, which is cells x genes by rows: nothing is transposed. Features that are not
    gene expression are left out, with a note. Raises `ReadError`: not a 10x file, damaged, several genomes (version 2).
    """
    with reading(path, EXPECTED_H5):
        if not h5py.is_hdf5(path):
            raise _unreadable(path, EXPECTED_H5, f"{file_kind(path)}, not HDF5", RENAME)
        file = h5py.File(path, "r")
        try:
            check_hdf5(file, path)
            require_filters(path, file)
            is_3 = isinstance(file.get("matrix"), h5py.Group)
            group, names, var = (_version_3 if is_3 else _version_2)(file, path, limits)
            if rows is not None:
                return _some_cells(file, group, names, var, path, rows)
            cells = matrix_cells(_matrix(group), _text(group, "barcodes"), names, var, path)
        except BaseException:
            file.close()
            raise
        file.close()
        return cells


def _version_3(file: h5py.File, path: Path, limits: ReadLimits) -> tuple[h5py.Group, np.ndarray, dict[str, np.ndarray]]:
    """The group of the matrix, names of the features and columns of `var`."""
    matrix = file["matrix"]
    _check_sizes(matrix, path, limits)
    # CellBender keeps version 2's names of genes, and writes no feature types where its input had none.
    features, name, gene_id = matrix.get("features"), "name", "id"
    if features is None and "gene_names" in matrix:
        features, name, gene_id = matrix, "gene_names", "genes"
    elif features is not None and "gene_id" in features:
        gene_id = "gene_id"
    columns = {"gene_ids": gene_id, "feature_types": "feature_type", "genome": "genome"}
    var = {column: _text(features, of) for column, of in columns.items() if of == gene_id or of in features}
    return matrix, _text(features, name), var


def _version_2(file: h5py.File, path: Path, limits: ReadLimits) -> tuple[h5py.Group, np.ndarray, dict[str, np.ndarray]]:
    genomes = [name for name, group in file.items() if isinstance(group, h5py.Group) and set(group) >= VERSION_2]
    if {"obs", "var"} <= set(file):
        raise _unreadable(path, EXPECTED_H5, "an AnnData", "Rename the file to .h5ad.")
    if not genomes:
        inside = ", ".join(list(file)[:5]) or "nothing"
        raise not_anndata(path, f"HDF5 that is not 10x either; it holds {inside}")
    if len(genomes) > 1:
        raise _unreadable(
            path,
            "a 10x file of one genome",
            f"{len(genomes)} genomes: {', '.join(genomes)}",
            "Write the cells of one of them into a file of their own.",
        )
    group = file[genomes[0]]
    _check_sizes(group, path, limits)
    return group, _text(group, "gene_names"), {"gene_ids": _text(group, "genes")}


def _some_cells(
    file: h5py.File, group: h5py.Group, names: np.ndarray, var: dict[str, np.ndarray], path: Path, rows: RowRange
) -> CellSource:
    n_features, n_cells = (int(size) for size in _values(group, "shape"))
    barcodes = _dataset(group, "barcodes").size
    _check_fit((n_cells, n_features), barcodes, names, var)
    rows.require_within(n_cells)
    matrix = CsrReader(group, shape=(n_cells, n_features), rows=rows)
    obs = pd.DataFrame(index=pd.Index(_text(group, "barcodes", rows.slice), dtype=object))
    cells = H5adCells(file, path, matrix, obs, _features(names, var, path), "matrix", {}, expected=EXPECTED_H5)
    cells.lies_at(rows.start, n_cells)

    def check() -> None:
        whole = CsrReader(group, shape=(n_cells, n_features))
        if _all_barcodes(path):
            _refuse_empty_droplets(np.concatenate([row_sums(chunk.X) for chunk in whole.blocks(n_cells)]), path)
        else:  # a cell without values has no counts: none need be read
            _refuse_empty_droplets(np.diff(whole.indptr), path)

    cells.layout = replace(matrix.layout(lambda chosen: _text(group, "barcodes", chosen)), check=check)
    return cells


def _check_sizes(group: h5py.Group, path: Path, limits: ReadLimits) -> None:
    """Raise `ReadError` for more cells, features or values than `limits` allow, by what the headers say."""
    if (_dataset(group, "shape").size or 0) != 2:
        raise ValueError("a matrix without its shape")
    n_features, n_cells = (int(size) for size in _values(group, "shape"))
    n_cells = max(n_cells, _dataset(group, "indptr").size - 1, _dataset(group, "barcodes").size)
    limits.check(str(path), cells=n_cells, genes=n_features, nonzeros=_dataset(group, "data").size)


def _matrix(group: h5py.Group) -> sp.csr_matrix:
    """CSR, cells x features. Raises `ValueError` for parts that do not fit together."""
    n_features, n_cells = (int(size) for size in _values(group, "shape"))
    data, indices, indptr = (_values(group, name) for name in ("data", "indices", "indptr"))
    if data.dtype.kind not in "fiub" or indices.dtype.kind not in "iu" or indptr.dtype.kind not in "iu":
        raise ValueError(f"values of {data.dtype}, indices of {indices.dtype}, pointers of {indptr.dtype}")
    if len(indptr) != n_cells + 1 or indptr[0] != 0 or (np.diff(indptr.astype(np.int64)) < 0).any():
        raise ValueError("pointers to the cells that do not rise from 0")
    if not indptr[-1] == len(data) == len(indices):
        raise ValueError("numbers of values and of indices that differ")
    if len(indices) and (indices.min() < 0 or indices.max() >= n_features):
        raise ValueError("indices of features outside the matrix")
    return sp.csr_matrix((data, indices, indptr), shape=(n_cells, n_features))


def _dataset(group: h5py.Group, name: str) -> h5py.Dataset:
    """A list of values. Raises `ValueError` otherwise."""
    if name not in group:
        raise ValueError(f"{group.name} has no {name}")
    dataset = group[name]
    if not isinstance(dataset, h5py.Dataset) or dataset.ndim != 1:
        raise ValueError(f"{group.name}/{name} is not a list of values")
    return dataset


def _values(group: h5py.Group, name: str) -> np.ndarray:
    values: np.ndarray = _dataset(group, name)[()]
    return values


def _text(group: h5py.Group, name: str, rows: slice = slice(None)) -> np.ndarray:
    """Strings, as objects of `str`. Raises `ValueError` for other values."""
    dataset = _dataset(group, name)
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise ValueError(f"{group.name}/{name} holds {dataset.dtype}, not text")
    text: np.ndarray = dataset.asstr()[rows]
    return text


def matrix_cells(
    X: sp.csr_matrix,
    barcodes: np.ndarray,
    names: np.ndarray,
    var: dict[str, np.ndarray],
    path: Path,
    *,
    obs: dict[str, np.ndarray] | None = None,
    notes: tuple[Finding, ...] = (),
) -> MemoryCells:
    """A source of the features that are genes. `X`: CSR, cells x features. Raises `ReadError` for a matrix of mostly
    empty barcodes, `ValueError` for parts that do not fit together.
    """
    _check_fit(X.shape, len(barcodes), names, var)
    frame = _features(names, var, path)
    is_gene, dropped = gene_features(frame)
    if is_gene is not None:
        X, frame = X[:, np.flatnonzero(is_gene)], frame[is_gene]
    _refuse_empty_droplets(np.asarray(X.sum(axis=1)).ravel(), path)
    return MemoryCells(
        X,
        frame.index.to_numpy(dtype=object).astype(str),
        pd.DataFrame(obs, index=pd.Index(barcodes, dtype=object)),
        name=path.name,
        counts_from="matrix",
        notes=(*notes, *dropped),
        var=frame,
    )


def _check_fit(shape: tuple[int, int], n_barcodes: int, names: np.ndarray, var: dict[str, np.ndarray]) -> None:
    """Raise `ValueError` for a matrix of another shape than its names."""
    if shape != (n_barcodes, len(names)) or any(len(column) != len(names) for column in var.values()):
        raise ValueError(f"a matrix of {shape[0]} cells where {n_barcodes} barcodes and {len(names)} features are")


def _features(names: np.ndarray, var: dict[str, np.ndarray], path: Path) -> pd.DataFrame:
    """`var`. Raises `ReadError` where no feature is a gene."""
    frame = pd.DataFrame(var, index=pd.Index(names, dtype=object))
    types = frame.get("feature_types")
    # Other words are judged where the features of every input are: a third column may be a chromosome, too.
    if types is not None and len(types) and types.map(lambda word: OTHER_FEATURES.search(word) is not None).all():
        raise ReadError.of(
            "NO_GENES",
            where=str(path),
            expected=f"features of type {GENE_EXPRESSION}",
            found=f"only {', '.join(types.unique())}",
            remedy="Provide the file that holds the gene expression of these cells.",
        )
    return frame


def _all_barcodes(path: Path) -> str:
    """The part of a path that says that a matrix is one of all barcodes, empty where none does."""
    return next((part for part in path.absolute().parts[:-4:-1] if RAW.search(part)), "")


def _refuse_empty_droplets(totals: np.ndarray, path: Path) -> None:
    """Raise `ReadError` for a matrix of all barcodes, as `raw_feature_bc_matrix`, of which most hold no cell."""
    whole, raw = path.absolute(), _all_barcodes(path)
    few = int((totals < (FEW_COUNTS if raw else 1)).sum())
    if few * 2 <= len(totals):
        return
    twin = Path(
        *(RAW.sub("" if "unfiltered" in part else "filtered", part) if part == raw else part for part in whole.parts)
    )
    raise ReadError.of(
        "CELL_EMPTY",
        where=str(path),
        expected="a matrix of cells",
        found=f"{few:,} of {len(totals):,} barcodes with {f'fewer than {FEW_COUNTS}' if raw else 'no'} counts: "
        "droplets without a cell",
        remedy=f"Use the filtered matrix of the same run: {twin}."
        if twin != whole and twin.exists()
        else "Use the matrix of the same run that holds cells only: filtered_feature_bc_matrix (Cell Ranger), "
        "Gene/filtered (STARsolo), DGE_filtered (Parse), counts_filtered (kb).",
    )


def _unreadable(path: Path, expected: str, found: str, remedy: str) -> ReadError:
    return ReadError.of("FILE_UNREADABLE", where=str(path), expected=expected, found=found, remedy=remedy)
