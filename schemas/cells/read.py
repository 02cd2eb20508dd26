"""Opening cells, whatever the file: the extension says what it is."""

import itertools
import os
import shlex
from dataclasses import replace
from pathlib import Path

from ..errors import ParameterError, ReadError
from ..near_names import near_names
from .cell_source import CellSource
from .file_kind import conversion
from .matrix_files import SHOWN, folders_with_matrix, is_matrix
from .read_limits import NO_LIMITS, ReadLimits
from .reading import READ, TABLES
from .reading_options import AS_IT_IS, ReadingOptions
from .row_range import RowRange, slice_cells

BY_ROWS = (".h5ad", ".h5mu", ".h5", ".loom", ".zarr", ".zip")
LAYERED = (".h5ad", ".h5mu", ".zarr", ".zip", ".loom")


def open_cells(
    path: str | os.PathLike[str],
    reading: ReadingOptions = AS_IT_IS,
    *,
    limits: ReadLimits = NO_LIMITS,
    rows: RowRange | None = None,
    turned: Path | None = None,
) -> CellSource:
    """Open the cells of a file or folder; use it in a `with` block.

    The file is read by this process: for an untrusted one see `serving/reader/open_apart.py`.

    Parameters
    ----------
    path
        A file or folder in one of the formats of `READ`.
    reading
        How the input is to be understood: its layer, whether a table's rows are genes, whether to recover counts.
    limits
        How large the input may be, by its headers.
    rows
        These cells alone, as if there were no others: all numbers of the source count from the first of them. Of a
        table, Matrix Market and layouts from before AnnData 0.7 all is read first. Counts are recovered of these cells
        by themselves, each proved.

    turned
        A folder where large matrices by columns are kept by rows once they were turned, for later opens of the same
        file, also by other processes. Its owner removes it. By default they are gone when the source is closed.

    Raises
    ------
    ReadError
        With what is wrong and its remedy.
    ParameterError
        For an option that the format does not have, and for rows beyond the last.
    CountsError
        For values that no counts can be recovered from.
    """
    if turned is not None:
        limits = replace(limits, turned=os.path.abspath(turned))
    source = _open(Path(path), reading.layer, reading.genes_by_cells, limits, rows)
    if not reading.recover_counts:
        return source
    from .recover_counts import recover_source

    try:
        return recover_source(source)
    except BaseException:
        source.close()
        raise


def _open(
    location: Path, layer: str | None, genes_by_cells: bool, limits: ReadLimits, rows: RowRange | None
) -> CellSource:
    require_input(location)
    refuse_special(location)
    is_zarr = location.is_dir() and any((location / name).is_file() for name in (".zgroup", "zarr.json"))
    suffix = ".zarr" if is_zarr else location.suffix.lower()
    if suffix == ".gz" and location.with_suffix("").suffix.lower() in TABLES:
        suffix = location.with_suffix("").suffix.lower()
    _check_arguments(location, suffix, layer, genes_by_cells)
    match suffix:
        case ".h5ad" | ".h5mu" if location.is_file():
            from .read_h5ad import open_h5ad

            return open_h5ad(location, layer=layer, limits=limits, rows=rows)
        case ".h5" if location.is_file():
            from .read_tenx import read_tenx_h5

            return read_tenx_h5(location, limits=limits, rows=rows)
        case ".csv" | ".tsv" | ".txt" if location.is_file():
            from .read_table import read_table

            return _part(read_table(location, genes_by_cells=genes_by_cells, limits=limits), rows)
        case ".arrow" | ".arrows" | ".feather" if location.is_file():
            from .read_arrow import read_arrow

            return _part(read_arrow(location, limits=limits), rows)
        case ".loom" if location.is_file():
            from .read_loom import open_loom

            return open_loom(location, layer=layer, limits=limits, rows=rows)
        case ".zarr" | ".zip" if (suffix == ".zip") == location.is_file():
            from .read_zarr import read_zarr

            return read_zarr(location, layer=layer, limits=limits, rows=rows)
        case _ if is_matrix(location) if location.is_file() else any(location.glob("*.mtx*")):
            from .read_matrix_folder import read_matrix_folder

            return _part(read_matrix_folder(location, limits=limits), rows)
        case _:
            if location.is_dir() and (inside := folders_with_matrix(location)):
                raise ReadError.of(
                    "FILE_FORMAT_UNKNOWN",
                    where=str(location),
                    expected="the folder of one matrix",
                    found=f"a folder without matrix.mtx that has {len(inside)} such folders in it",
                    remedy=f"Give one of them ({inside[0]}); several make a batch.",
                    examples=tuple(map(str, inside[:SHOWN])),
                )
            what = "a folder without matrix.mtx" if location.is_dir() else f"the extension {suffix or 'none'!r}"
            raise ReadError.of(
                "FILE_FORMAT_UNKNOWN",
                where=str(location),
                expected=f"one of {READ}",
                found=what,
                remedy=conversion(location),
            )


def reads_by_rows(location: Path) -> bool:
    """Whether rows of an input can be read without all others, by its name."""
    return location.suffix.lower() in BY_ROWS or location.is_dir()


def _part(source: CellSource, rows: RowRange | None) -> CellSource:
    return source if rows is None else slice_cells(source, rows)


MOST_LOOKED_AT = 10_000
"""Files of a folder among which a name like the one asked for is sought."""


def require_input(path: Path) -> None:
    """Raise `ReadError` (`FILE_NOT_FOUND`) when there is nothing at `path`: worth knowing before a model is loaded."""
    if not os.path.exists(path):  # Path.exists raises for a folder that may not be looked into
        raise ReadError.of(
            "FILE_NOT_FOUND",
            where=str(path),
            expected="a file or folder of cells",
            found=_where_it_ends(path),
            remedy=_files_like(path)
            if ":/" not in str(path)
            else "Download it first. Where it was to be fetched, the message of that says why it could not be.",
        )


def _where_it_ends(path: Path) -> str:
    """What is missing: the name, or a folder on the way to it."""
    missing = next((one for one in reversed(path.parents) if not os.path.exists(one)), None)
    return "nothing there" if missing is None else f"no folder {missing}"


def _files_like(path: Path) -> str:
    """Names in the same folder that may have been meant."""
    try:
        with os.scandir(path.parent) as entries:
            names = [entry.name for entry in itertools.islice(entries, MOST_LOOKED_AT) if entry.name[0] != "."]
    except OSError:
        names = []
    near = near_names(path.name, names)
    if near:
        return f"Did you mean {' or '.join(shlex.quote(str(path.with_name(name))) for name in near)}?"
    return "Check the path."


def refuse_special(path: Path) -> None:
    """Raise `ReadError` for what is neither a file nor a folder: a pipe would be waited for without end."""
    if not (path.is_file() or path.is_dir()):
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=str(path),
            expected="a regular file or a folder",
            found="a pipe, a socket or a device",
            remedy="Save its content as a file first.",
        )


def _check_arguments(location: Path, suffix: str, layer: str | None, genes_by_cells: bool) -> None:
    if layer is not None and suffix not in LAYERED:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="layer",
            expected="an .h5ad, .zarr or .loom, which have layers",
            found=location.name,
            remedy="Omit --layer for this input.",
        )
    if genes_by_cells and suffix not in TABLES:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="genes_by_cells",
            expected="a table (.csv or .tsv)",
            found=location.name,
            remedy="Omit --genes-by-cells for this input.",
        )
