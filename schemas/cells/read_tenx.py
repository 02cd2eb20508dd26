"""10x Genomics output: the `.h5` of Cell Ranger (version 2, version 3 and later), and the folder with `matrix.mtx`."""

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..errors import ReadError
from .cell_source import MemoryCells
from .check_hdf5 import MOST_COMPRESSED, check_hdf5
from .file_kind import file_kind
from .open_limited import open_limited
from .read_limits import NO_LIMITS, ReadLimits
from .reading import GENE_EXPRESSION, gene_features, not_anndata, reading

EXPECTED_H5 = "a 10x Genomics file (.h5)"
EXPECTED_FOLDER = "a 10x matrix folder (matrix.mtx, barcodes.tsv, features.tsv or genes.tsv; also .gz)"
LONGEST_LINE = 4096
"""Bytes of a line in the header of a Matrix Market file."""
MOST_TEXT = 4 * 1024**3
"""Bytes of a list of features or barcodes."""
VERSION_2 = {"barcodes", "data", "genes", "gene_names", "indices", "indptr", "shape"}


def read_tenx_h5(path: Path, *, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of a 10x `.h5`: `var_names` are symbols, `var["gene_ids"]` Ensembl ids.

    10x stores genes x cells by columns, which is cells x genes by rows: nothing is transposed. Features that are not
    gene expression are left out, with a note. Raises `ReadError`: not a 10x file, damaged, several genomes (version 2).
    """
    with reading(path, EXPECTED_H5):
        if not h5py.is_hdf5(path):
            raise _unreadable(path, EXPECTED_H5, f"{file_kind(path)}, not HDF5", "Check that the file is complete.")
        with h5py.File(path, "r") as file:
            check_hdf5(file, path)
            if isinstance(file.get("matrix"), h5py.Group):
                return _version_3(file, path, limits)
            return _version_2(file, path, limits)


def _version_3(file: h5py.File, path: Path, limits: ReadLimits) -> MemoryCells:
    matrix = file["matrix"]
    _check_sizes(matrix, path, limits)
    features = matrix["features"]
    var: dict[str, np.ndarray] = {"gene_ids": _text(features, "gene_id" if "gene_id" in features else "id")}
    var["feature_types"] = _text(features, "feature_type")
    if "genome" in features:
        var["genome"] = _text(features, "genome")
    return _tenx_cells(_matrix(matrix), _text(matrix, "barcodes"), _text(features, "name"), var, path, EXPECTED_H5)


def _version_2(file: h5py.File, path: Path, limits: ReadLimits) -> MemoryCells:
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
    var = {"gene_ids": _text(group, "genes")}
    return _tenx_cells(_matrix(group), _text(group, "barcodes"), _text(group, "gene_names"), var, path, EXPECTED_H5)


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


def _text(group: h5py.Group, name: str) -> np.ndarray:
    """Strings, as objects of `str`. Raises `ValueError` for other values."""
    dataset = _dataset(group, name)
    if h5py.check_string_dtype(dataset.dtype) is None:
        raise ValueError(f"{group.name}/{name} holds {dataset.dtype}, not text")
    text: np.ndarray = dataset.asstr()[()]
    return text


def read_tenx_folder(path: Path, *, limits: ReadLimits = NO_LIMITS) -> MemoryCells:
    """The cells of a folder as Cell Ranger (version 2, 3 and later) and STARsolo write it.

    `var_names` are symbols, `var["gene_ids"]` the ids of the first column. Features that are not gene expression are
    left out, with a note. Raises `ReadError`: a file missing, damaged, or of another length than the matrix.
    """
    from scipy.io import mmread

    with reading(path, EXPECTED_FOLDER):
        matrix_file = _find(path, "matrix.mtx")
        features_file, barcodes_file = _find(path, "features.tsv", "genes.tsv"), _find(path, "barcodes.tsv")
        n_features, n_cells, n_values = _declared(matrix_file)
        limits.check(str(path), cells=n_cells, genes=n_features, nonzeros=n_values)
        features, barcodes = _columns(features_file, limits), _columns(barcodes_file, limits)
        X: Any = mmread(matrix_file)
        if X.dtype.kind not in "fiub":
            raise ValueError(f"a matrix of {X.dtype}")
        expected = len(features), len(barcodes)
        if X.shape != expected:
            raise ValueError(
                f"a matrix of {X.shape[0]} x {X.shape[1]} where {features_file.name} has {expected[0]} lines and "
                f"{barcodes_file.name} has {expected[1]}"
            )
        var = {"gene_ids": features[0].to_numpy(dtype=object)}
        if features.shape[1] > 2:
            var["feature_types"] = features[2].to_numpy(dtype=object)
        names = features[1 if features.shape[1] > 1 else 0].to_numpy(dtype=object)
        ids = barcodes[0].to_numpy(dtype=object)
        return _tenx_cells(sp.csr_matrix(X.T), ids, names, var, path, EXPECTED_FOLDER)


def _find(folder: Path, *names: str) -> Path:
    """The first of the files that is there, plain or compressed."""
    for name in names:
        for candidate in (folder / name, folder / f"{name}.gz"):
            if candidate.is_file():
                return candidate
    raise _unreadable(folder, EXPECTED_FOLDER, f"no {' or '.join(names)} in it", "Put the folder's files together.")


def _declared(file: Path) -> tuple[int, int, int]:
    """Features, cells and values as the header of a Matrix Market file declares them."""
    with open_limited(file, 1024**3) as stream:
        first = stream.readline(LONGEST_LINE).split()
        line = b"%"
        while line.startswith(b"%"):
            line = stream.readline(LONGEST_LINE)
    sizes = [int(size) for size in line.split()]
    if len(first) < 3 or len(sizes) not in (2, 3) or min(sizes) < 0:
        raise ValueError(f"{file.name} has no header of a Matrix Market file")
    n_values = sizes[2] if len(sizes) == 3 else sizes[0] * sizes[1]
    # A value takes two bytes or more, and deflate makes them at most 1,032 times smaller.
    if n_values * 2 > file.stat().st_size * (MOST_COMPRESSED if file.suffix == ".gz" else 1) + LONGEST_LINE:
        raise ValueError(f"{file.name} says that it holds {n_values} values, far more than are stored")
    return sizes[0], sizes[1], n_values


def _columns(file: Path, limits: ReadLimits) -> pd.DataFrame:
    """The first three columns of a table without header, as text; a gene called NA stays one. Columns are numbered."""
    with open_limited(file, min(limits.max_unpacked_bytes, MOST_TEXT)) as stream:
        text = stream.read().decode()
    # Places of a gene on its chromosome may follow, and not every line has them.
    rows = [line.rstrip("\r").split("\t")[:3] for line in text.split("\n") if line.strip()]
    if len({len(row) for row in rows}) > 1:
        raise ValueError(f"{file.name} has lines of unequal length")
    return pd.DataFrame(rows, columns=range(len(rows[0]) if rows else 1), dtype=object)


def _tenx_cells(
    X: sp.csr_matrix, barcodes: np.ndarray, names: np.ndarray, var: dict[str, np.ndarray], path: Path, expected: str
) -> MemoryCells:
    """A source of the features that are genes. `X`: CSR, cells x features."""
    if X.shape != (len(barcodes), len(names)) or any(len(column) != len(names) for column in var.values()):
        raise ValueError(f"a matrix of {X.shape[0]} cells where {len(barcodes)} barcodes and {len(names)} features are")
    frame = pd.DataFrame(var, index=pd.Index(names, dtype=object))
    types = frame.get("feature_types")
    if types is not None and len(types) and not (types == GENE_EXPRESSION).any():
        raise ReadError.of(
            "NO_GENES",
            where=str(path),
            expected=f"features of type {GENE_EXPRESSION}",
            found=f"only {', '.join(types.unique())}",
            remedy="Provide the file that holds the gene expression of these cells.",
        )
    is_gene, notes = gene_features(frame)
    if is_gene is not None:
        X, frame = X[:, np.flatnonzero(is_gene)], frame[is_gene]
    return MemoryCells(
        X,
        frame.index.to_numpy(dtype=object).astype(str),
        pd.DataFrame(index=pd.Index(barcodes, dtype=object)),
        name=path.name,
        counts_from="matrix",
        notes=notes,
        var=frame,
    )


def _unreadable(path: Path, expected: str, found: str, remedy: str) -> ReadError:
    return ReadError.of("FILE_UNREADABLE", where=str(path), expected=expected, found=found, remedy=remedy)
