"""Calls in a `.zarr` copy of the input, in memory that does not grow with its matrices."""

import math
import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read_zarr import open_store
from cellmark.schemas.cells.stored_matrix import open_values
from cellmark.schemas.errors import ReadError

from .copy_file import copy_file
from .write_calls import add_calls_to, has_obs_group, put_calls, whole_input

CHUNK_VALUES = 1_000_000
"""Values of one storage chunk, about."""
BLOCK_VALUES = 4_000_000
"""Values that are copied at once."""
CONTAINERS = ("layers", "obsm", "varm", "obsp", "varp", "uns")


def write_zarr_into(
    draft: Path,
    frame: pd.DataFrame,
    uns: dict[str, Any],
    *,
    source: CellSource,
    origin: Path | None,
    prefix: str | None = None,
) -> None:
    """Write a zarr store into the empty folder `draft`. `uns`: see `uns_entries`. `origin`: the file of the cells.

    The files of a zarr store, a folder or zipped, are copied as they are, and the copy gets its columns. Of an `.h5ad`
    every element is copied, in blocks of rows. Of other formats the matrix that was scored, `obs` and `var` are written
    as they are read. Layouts from before AnnData 0.7 pass through memory.
    """
    import zarr

    suffix = "" if origin is None else ".zarr" if origin.is_dir() else origin.suffix.lower()
    if origin is not None and suffix in (".zarr", ".zip") and "column-order" in open_store(origin)["obs"].attrs:
        _copy_store(origin, draft)
    elif origin is not None and suffix == ".h5ad" and has_obs_group(origin):
        with h5py.File(origin, "r") as file:
            copy_group(file, _new_store(draft))
    elif suffix in (".zarr", ".zip", ".h5ad"):
        adata = whole_input(source, origin)
        put_calls(adata, frame, uns, prefix)
        adata.write_zarr(draft)
        return
    else:
        _write_cells(_new_store(draft), source)
    # What is consolidated does not know of new columns.
    is_consolidated = zarr.open_group(draft, mode="r").metadata.consolidated_metadata is not None
    root = zarr.open_group(draft, mode="r+", use_consolidated=False)
    add_calls_to(root, frame, uns, prefix)
    if is_consolidated or suffix not in (".zarr", ".zip"):
        zarr.consolidate_metadata(draft, zarr_format=root.metadata.zarr_format)


def _new_store(draft: Path) -> Any:
    """An empty AnnData, in the format that anndata itself writes."""
    import anndata
    import zarr

    root = zarr.open_group(draft, mode="w", zarr_format=anndata.settings.zarr_write_format)
    root.attrs.update({"encoding-type": "anndata", "encoding-version": "0.1.0"})
    return root


def _copy_store(origin: Path, draft: Path) -> None:
    if not origin.is_dir():
        _unpack(origin, draft)
        return
    for folder, folders, names in os.walk(origin):
        place = draft / os.path.relpath(folder, origin)
        place.mkdir(exist_ok=True)
        if links := [name for name in folders if os.path.islink(os.path.join(folder, name))]:
            raise ReadError.of(
                "FILE_UNREADABLE",
                where=str(origin),
                expected="folders without links to folders",
                found="a link to a folder",
                remedy="Copy what it points to into its place: cp -rL.",
                examples=tuple(links[:5]),
            )
        for name in names:
            copy_file(Path(folder) / name, place / name)


def _unpack(origin: Path, draft: Path) -> None:
    """The files of the group in a zip archive, by their names in it: none of them leads out of the folder."""
    inside = open_store(origin).path
    with ZipFile(origin) as archive:
        for entry in archive.infolist():
            parts = PurePosixPath(entry.filename).parts
            kept = parts[len(PurePosixPath(inside).parts) :]
            if entry.is_dir() or not entry.filename.startswith(f"{inside}/" if inside else "") or ".." in parts:
                continue
            place = draft.joinpath(*kept)
            if not place.is_relative_to(draft) or not kept:
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(entry) as packed, place.open("wb") as file:
                while piece := packed.read(1 << 20):
                    file.write(piece)


def copy_group(stored: h5py.Group, target: Any) -> None:
    """Copy all that an HDF5 group holds into a zarr group: arrays of numbers in blocks of rows, others through memory,
    one at a time. AnnData's encodings are the same in both.
    """
    from anndata.io import read_elem, write_elem

    for name, item in stored.items():
        if item is None:  # a link to nothing
            continue
        attributes = {key: _plain(value) for key, value in item.attrs.items() if not isinstance(value, h5py.Reference)}
        old_frame = attributes.get("encoding-type") == "dataframe" and attributes.get("encoding-version") == "0.1.0"
        if isinstance(item, h5py.Group) and not old_frame:
            inside = target.create_group(
                name, attributes=attributes or {"encoding-type": "dict", "encoding-version": "0.1.0"}
            )
            copy_group(item, inside)
        elif isinstance(item, h5py.Dataset) and item.ndim and item.dtype.kind in "fiub":
            _copy_values(stored, name, target, attributes)
        else:
            write_elem(target, name, read_elem(item))


def _plain(value: Any) -> Any:
    """An attribute as JSON holds it."""
    if isinstance(value, h5py.Empty):
        return None
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.decode() if isinstance(value, bytes) else value


def _copy_values(stored: h5py.Group, name: str, target: Any, attributes: dict[str, Any]) -> None:
    dataset = stored[name]
    rows, n_rows = _chunk_rows(dataset), dataset.shape[0]
    array = target.create_array(
        name,
        shape=dataset.shape,
        dtype=np.dtype(dataset.dtype.str),
        chunks=(max(min(rows, n_rows), 1), *(max(size, 1) for size in dataset.shape[1:])),
        attributes={"encoding-type": "array", "encoding-version": "0.2.0", **attributes},
    )
    values = open_values(stored, name) if dataset.ndim == 1 else dataset
    step = max(BLOCK_VALUES // max(math.prod(array.chunks), 1), 1) * rows
    for start in range(0, n_rows, step):
        array[start : start + step] = values[start : min(start + step, n_rows)]


def _chunk_rows(dataset: h5py.Dataset) -> int:
    """Rows of one chunk of a copy: whole chunks of the original, unless these are too large to be held."""
    width, stored = max(int(math.prod(dataset.shape[1:])), 1), int(dataset.chunks[0]) if dataset.chunks else 1
    rows = max(CHUNK_VALUES // width, 1)
    if stored <= rows:
        return rows // stored * stored
    return stored if stored * width <= 2 * BLOCK_VALUES else rows


def _write_cells(root: Any, source: CellSource) -> None:
    from anndata.io import write_elem

    write_elem(root, "obs", source.obs)
    write_elem(root, "var", source.var)
    for name in CONTAINERS:
        write_elem(root, name, {})
    shape = [source.n_obs, source.n_vars]
    X = root.create_group("X", attributes={"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": shape})
    arrays: dict[str, Any] = {}
    counts = [np.zeros(1, dtype=np.int64)]
    for chunk in _chunks(source):
        parts = {"data": chunk.data, "indices": chunk.indices.astype(np.int32, copy=False)}
        counts.append(np.diff(chunk.indptr).astype(np.int64))
        for name, values in parts.items():
            if name not in arrays:
                arrays[name] = _list(X, name, values.dtype)
            arrays[name].append(values.astype(arrays[name].dtype, copy=False))
    for name, dtype in (("data", np.float32), ("indices", np.int32)):
        if name not in arrays:
            _list(X, name, np.dtype(dtype))
    write_elem(X, "indptr", np.cumsum(np.concatenate(counts)))


def _chunks(source: CellSource) -> Iterator[Any]:
    for chunk in source.chunks(max(source.n_obs, 1)):
        yield chunk.X


def _list(group: Any, name: str, dtype: np.dtype[Any]) -> Any:
    attributes = {"encoding-type": "array", "encoding-version": "0.2.0"}
    return group.create_array(name, shape=(0,), dtype=dtype, chunks=(CHUNK_VALUES,), attributes=attributes)
