"""The marker table written into a copy of an `.h5ad`, where scanpy's plots look for it."""

from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.calls.scanpy_layout import KEY, rows_for, to_rank_genes_groups
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import require_input
from cellmark.schemas.errors import ReadError

from .copy_file import copy_file
from .remote_cells import RemoteCells
from .reserve_space import reserve_space

BYTES_PER_VALUE = 64
"""Room for a gene's name and five numbers of one cell type."""


def check_cells(path: Path) -> None:
    """Raise `ReadError` when the file that markers are to be written into is not there or no `.h5ad`."""
    require_input(path)
    if path.suffix.lower() != ".h5ad":
        raise ReadError.of(
            "FILE_FORMAT_UNKNOWN",
            where=str(path),
            expected="an .h5ad, which can hold markers beside cells",
            found=repr(path.suffix) if path.suffix else "no extension",
            remedy="Write the cells as .h5ad first.",
        )


def write_markers_into(
    table: pd.DataFrame,
    source: CellSource,
    out: Path,
    *,
    origin: Path,
    groupby: str,
    key: str = KEY,
    force: bool = False,
) -> tuple[int, int]:
    """Copy `origin`, the file of the cells, to `out` and put the markers into `uns[key]`; everything else stays byte by
    byte. Returns the numbers of genes, of each cell type, and of cell types that were put there.

    Raises `LabelError` and `GeneOverlapError` for cells that do not fit, `OutputError`.
    """
    with whole_file(out, force=force) as draft:
        if isinstance(source, RemoteCells):
            return source.write_markers(draft, table, groupby=groupby, key=key)
        return put_markers(draft, table, source=source, origin=origin, groupby=groupby, key=key)


def put_markers(
    draft: Path, table: pd.DataFrame, *, source: CellSource, origin: Path, groupby: str, key: str
) -> tuple[int, int]:
    """Copy the file `origin` of `source` over `draft` and put the markers there: see `write_markers_into`."""
    rows = rows_for(table, obs=source.obs, var_names=list(map(str, source.var_names)), groupby=groupby)
    layout = to_rank_genes_groups(rows, groupby=groupby)
    copy_file(origin, draft)
    reserve_space(draft, len(rows) * BYTES_PER_VALUE)
    _put(draft, key, layout)
    names = layout["names"]
    return len(names), len(names.dtype.names)


def _put(path: Path, key: str, layout: dict[str, Any]) -> None:
    from anndata.io import write_elem

    with h5py.File(path, "r+") as file:
        if "uns" not in file:
            write_elem(file, "uns", {})
        if key in file["uns"]:
            del file["uns"][key]
        write_elem(file["uns"], key, layout)
