"""AnnData in `.zarr` folders, format 2 and 3, also zipped: only the matrix asked for, `obs` and `var` are read."""

from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import h5py
import numpy as np
import scipy.sparse as sp

from ..errors import ReadError
from .cell_source import CellSource, MemoryCells, OtherMatrix
from .file_kind import conversion
from .read_anndata import RAW, cells_from_anndata, check_compressed, memory_cells, to_csr
from .read_h5ad import H5adCells, check_encoding
from .read_limits import NO_LIMITS, ReadLimits
from .reading import not_anndata, not_mudata, reading, unknown_layer
from .row_range import RowRange, slice_cells
from .stored_frame import frame_ids, frame_length, frame_rows
from .stored_matrix import CsrReader, MatrixReader
from .turn_on_disk import GROUP, MOST_LOADED, StoredColumns, turn_columns
from .zarr_files import CheckedArray, CheckedGroup, StoreFiles, check_blocks
from .zarr_matrix import ZarrCsrReader, ZarrDenseReader, unique_entries

EXPECTED = "an AnnData folder (.zarr)"


def read_zarr(
    path: Path, *, layer: str | None = None, limits: ReadLimits = NO_LIMITS, rows: RowRange | None = None
) -> CellSource:
    """The cells of a `.zarr` folder or a `.zip` of one. `layer`: None for `X`, `raw` for `raw.X`, else a layer. `rows`:
    these cells alone, of which no more is read, unless values lie by columns. Without it a matrix of more than
    `MOST_LOADED` values is read by rows as they are asked for. Close the source after use.

    Raises `ReadError`: not zarr, not an AnnData, damaged or incomplete, an unknown layer, pickled values.
    """
    import zarr

    with reading(path, EXPECTED):
        root = open_store(path, limits)
        if isinstance(root.get("mod"), zarr.Group):
            raise not_mudata(path, list(root["mod"]), _opening(root, path))
        if not {"obs", "var"} <= set(root):
            if path.is_dir() and "tables" in root and (tables := list(root["tables"])):
                raise not_anndata(path, "a SpatialData", f"Give the table in it: {path / 'tables' / tables[0]}")
            raise not_anndata(path, f"zarr that holds {', '.join(list(root)[:5]) or 'nothing'}")
        _refuse_pickles(root, path)
        if "encoding-type" in root["obs"].attrs:
            if rows is None and _is_large(root, layer) and (n_cells := frame_length(root["obs"])):
                rows = RowRange(0, n_cells)
            return _read(root, path, layer, limits) if rows is None else _read_rows(root, path, layer, limits, rows)
        # Layouts from before AnnData 0.7: anndata knows them, and such stores are small.
        import anndata

        if isinstance(root.get("X"), zarr.Array):
            limits.check(str(path), nonzeros=root["X"].size)
        _check_blocks(path, root)
        cells = cells_from_anndata(anndata.read_zarr(root), layer=layer, name=path.name)
        return cells if rows is None else slice_cells(cells, rows)


def open_store(path: Path, limits: ReadLimits = NO_LIMITS) -> Any:
    """The zarr group of a folder, or of a `.zip` that holds one. Raises `ReadError` for anything else."""
    import zarr

    zipped = path.is_file()
    store: Any = zarr.storage.ZipStore(path, mode="r") if zipped else path
    inside = _group_in_zip(path, limits) if zipped else None
    try:
        if inside is not None or not zipped:
            return zarr.open_group(store, mode="r", path=inside)
    except FileNotFoundError:
        pass
    raise ReadError.of(
        "FILE_UNREADABLE",
        where=str(path),
        expected=EXPECTED,
        found="a zip archive without a zarr group" if zipped else "a folder that is not a zarr group",
        remedy=conversion(path) if zipped else "Copy the folder again, with its hidden files (.zgroup, .zattrs).",
    )


def _group_in_zip(path: Path, limits: ReadLimits) -> str | None:
    """The folder of a zip archive that is a zarr group, the outermost one; empty for the archive itself."""
    with ZipFile(path) as archive:
        entries = archive.infolist()
    n_bytes = sum(entry.file_size for entry in entries)
    if n_bytes > limits.max_unpacked_bytes:
        raise ReadError.of(
            "INPUT_TOO_LARGE",
            where=str(path),
            expected=f"at most {limits.max_unpacked_bytes:,} bytes unpacked",
            found=f"{n_bytes:,}",
            remedy="Divide it into files of fewer cells, or raise CELLMARK_MAX_UNPACKED_BYTES.",
        )
    groups = [
        folder
        for folder, _, name in (entry.filename.rpartition("/") for entry in entries)
        if name in (".zgroup", "zarr.json") and not folder.startswith("__MACOSX")
    ]
    return min(groups, key=len, default=None)


def _opening(root: Any, path: Path) -> str:
    """Python that opens the store again."""
    if path.is_dir():
        return f"zarr.open_group({str(path)!r}, mode='r')"
    return f"zarr.open_group(zarr.storage.ZipStore({str(path)!r}), mode='r', path={root.path!r})"


def _read(root: Any, path: Path, layer: str | None, limits: ReadLimits) -> MemoryCells:
    from anndata.io import read_elem

    element, var_group, counts_from = _find_matrix(root, layer)
    _check_sizes(element, root["obs"], var_group, path, limits)
    named = root.get("uns/organism")
    _check_blocks(path, element, root["obs"], var_group, *(() if named is None else (named,)))
    obs, var = read_elem(root["obs"]), read_elem(var_group)
    if "" in obs.index or "" in var.index:
        raise ValueError("empty names of cells or genes: files of the folder are missing")
    X = to_csr(_read_matrix(element), counts_from)
    if X.shape != (len(obs), len(var)):
        raise ValueError(f"a matrix of {X.shape} where obs and var have {(len(obs), len(var))}")
    organism = None if named is None else read_elem(named)
    cells = memory_cells(X, obs, var, name=path.name, counts_from=counts_from, organism=organism)
    cells.others = _other_matrices(root, path, counts_from, limits, None)
    return cells


def _read_rows(root: Any, path: Path, layer: str | None, limits: ReadLimits, rows: RowRange) -> CellSource:
    import zarr
    from anndata.io import read_elem

    element, var_group, counts_from = _find_matrix(root, layer)
    check_encoding(element, counts_from, path)
    _check_sizes(element, root["obs"], var_group, path, limits)
    named = root.get("uns/organism")
    with ExitStack() as stack:
        files = stack.enter_context(closing(StoreFiles(path)))
        for part in (var_group, *(() if named is None else (named,))):
            check_blocks(part, files)
        frame, var = CheckedGroup(root["obs"], files), read_elem(var_group)
        obs, n_total = frame_rows(frame, rows), frame_length(frame)
        if "" in obs.index or "" in var.index:
            raise ValueError("empty names of cells or genes: files of the folder are missing")
        matrix: MatrixReader
        if isinstance(element, zarr.Array):
            n_stored, matrix = element.shape[0], ZarrDenseReader(CheckedArray(element, files), rows=rows)
        elif element.attrs["encoding-type"] == "csc_matrix":
            if (turned := _turned(element, path, files, limits)) is None:
                return slice_cells(_read(root, path, layer, limits), rows)
            stack.enter_context(turned)
            n_stored, matrix = element.attrs["shape"][0], CsrReader(turned[GROUP], rows=rows)
        else:
            n_stored, matrix = element.attrs["shape"][0], ZarrCsrReader(CheckedGroup(element, files), rows=rows)
        if (n_stored, matrix.shape) != (n_total, (len(obs), len(var))):
            stored = n_stored, matrix.shape[1]
            raise ValueError(f"a matrix of {stored} where obs and var have {(n_total, len(var))}")
        organism = None if named is None else read_elem(named)
        uns = {"organism": organism} if isinstance(organism, str) else {}
        others = _other_matrices(root, path, counts_from, limits, rows)
        cells = H5adCells(stack.pop_all(), path, matrix, obs, var, counts_from, uns, others, expected=EXPECTED)
    cells.lies_at(rows.start, n_total)
    cells.layout = matrix.layout(partial(frame_ids, frame))
    return cells


def _turned(element: Any, path: Path, files: StoreFiles, limits: ReadLimits) -> h5py.File | None:
    """A matrix by columns, turned on disk, None where it is better loaded."""
    data, indices, indptr = (CheckedArray(element[name], files) for name in ("data", "indices", "indptr"))
    shape = int(element.attrs["shape"][0]), int(element.attrs["shape"][1])
    columns = StoredColumns(data, indices, indptr[: len(indptr)].astype(np.int64), shape)
    if any(array.misses(slice(0, len(array))) for array in (data, indices)):
        raise ValueError("files of the sparse matrix are missing from the folder")
    stats = [file.stat() for file in (path / element.path).rglob("*")] if path.is_dir() else []
    newest = max((one.st_mtime_ns for one in stats), default=0)
    stamp = {"matrix": element.path, "files": [len(stats), sum(one.st_size for one in stats), newest]}
    return turn_columns(columns, path, stamp, limits)


def _is_large(root: Any, layer: str | None) -> bool:
    import zarr

    element, _, _ = _find_matrix(root, layer)
    return bool((element if isinstance(element, zarr.Array) else element["data"]).size > MOST_LOADED)


def _check_blocks(path: Path, *parts: Any) -> None:
    with closing(StoreFiles(path)) as files:
        for part in parts:
            check_blocks(part, files)


def _check_sizes(element: Any, obs: Any, var: Any, path: Path, limits: ReadLimits) -> None:
    """Raise `ReadError` for more cells, genes or values than `limits` allow, by what the metadata say."""
    import zarr

    if isinstance(element, zarr.Array):
        shape, n_values = element.shape, element.size
    else:
        shape, n_values = tuple(element.attrs["shape"]), element["data"].size
    if len(shape) != 2:
        raise ValueError(f"a matrix of {len(shape)} dimensions")
    rows = [frame.get(frame.attrs.get("_index", "_index")) for frame in (obs, var)]
    n_cells, n_genes = (
        max(int(size), index.size if isinstance(index, zarr.Array) else 0)
        for size, index in zip(shape, rows, strict=True)
    )
    limits.check(str(path), cells=n_cells, genes=n_genes, nonzeros=int(n_values))


def _other_matrices(
    root: Any, path: Path, opened: str, limits: ReadLimits, rows: RowRange | None
) -> tuple[OtherMatrix, ...]:
    layers = sorted(root["layers"]) if "layers" in root else []
    there: list[tuple[str | None, str]] = [(None, "X")] if "X" in root else []
    there += [(name, f"layers[{name!r}]") for name in layers]
    if "raw/X" in root and RAW not in layers:
        there.append((RAW, "raw.X"))

    in_memory = replace(limits, max_scratch_bytes=0)  # see `read_h5ad.py`

    def rows_of(layer: str | None) -> Callable[[np.ndarray], sp.csr_matrix]:
        def take(numbers: np.ndarray) -> sp.csr_matrix:
            with read_zarr(path, layer=layer, limits=in_memory, rows=rows) as other:
                return other.take(numbers)

        return take

    return tuple(OtherMatrix(layer, where, rows_of(layer)) for layer, where in there if where != opened)


def _find_matrix(root: Any, layer: str | None) -> tuple[Any, Any, str]:
    """The element that holds the values, the group of its genes, and what to call it."""
    layers = sorted(root["layers"]) if "layers" in root else []
    if layer is None:
        if (element := root.get("X")) is not None:
            return element, root["var"], "X"
        raise ReadError.of(
            "MATRIX_INVALID",
            where="X",
            expected="a matrix of counts",
            found="none",
            remedy="Name the layer that holds them.",
        )
    if layer in layers:
        return root["layers"][layer], root["var"], f"layers[{layer!r}]"
    # An AnnData without raw is written with the value False in its place.
    has_raw = "raw/X" in root
    if layer == RAW and has_raw:
        return root["raw/X"], root["raw/var"], "raw.X"
    raise unknown_layer(layer, [*layers, *([RAW] if has_raw else [])])


def _read_matrix(element: Any) -> Any:
    """A matrix of which no part is missing.

    zarr takes a missing file for a block of zeros, and writers leave such blocks out. Sparse values are hardly ever a
    block of zeros, so their absence is damage; a block of zero indices is, when a cell has the same gene twice.
    """
    from anndata.io import read_elem

    X = read_elem(element)
    encoding = element.attrs.get("encoding-type")
    if encoding not in ("csr_matrix", "csc_matrix"):
        return X
    check_compressed(X)
    missing = {name: _misses_files(element[name]) for name in ("data", "indices")}
    if missing["data"] or (missing["indices"] and not unique_entries(X)):
        raise ValueError("files of the sparse matrix are missing from the folder")
    return X


def _misses_files(array: Any) -> bool:
    return bool(array.nchunks_initialized < array.nchunks)


def _refuse_pickles(root: Any, path: Path) -> None:
    """Raise `ReadError` for arrays of pickled objects: reading them would run whatever code they hold."""
    import zarr

    pickled = []
    for name, member in root.members(max_depth=None):
        if isinstance(member, zarr.Array) and "pickle" in str(member.metadata.to_dict()).lower():
            pickled.append(name)
    if pickled:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="arrays of numbers and text",
            found="arrays of pickled objects",
            remedy="Write the AnnData again with adata.write_zarr(...).",
            examples=tuple(pickled[:5]),
        )
