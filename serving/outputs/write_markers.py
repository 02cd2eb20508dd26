"""Markers on disk: a model's in a copy of an `.h5ad`, where scanpy looks for them; new populations' as a table."""

import json
from pathlib import Path
from typing import Any

import h5py
import pandas as pd

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.calls.new_populations import CalledCells, NewPopulations
from cellmark.schemas.calls.scanpy_layout import KEY, rows_for, to_rank_genes_groups
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import require_input
from cellmark.schemas.columns import NEW_POPULATION
from cellmark.schemas.errors import ReadError

from .copy_file import RemoteCells, copy_file, reserve_space
from .write_calls import write_calls

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


def write_populations(found: NewPopulations, out: Path, *, top: int, force: bool) -> None:
    """All markers as a `.csv` or `.parquet`; or as `.json` the populations with their first `top` markers."""
    with whole_file(out, force=force) as draft:
        if out.suffix == ".json":
            text = json.dumps(found.to_dict(top=top), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
            draft.write_text(text, encoding="utf-8", newline="\n")
        elif out.suffix == ".parquet":
            found.markers.to_parquet(draft, index=False)
        else:
            found.markers.to_csv(draft, index=False)


def write_population_cells(
    found: NewPopulations, called: CalledCells, out: Path, *, source: CellSource, origin: Path, force: bool
) -> None:
    """The calls of every cell, and its population, as `annotate` writes calls (see `write_calls`)."""
    frame = called.calls.copy()
    names = list(found.populations["population"])
    frame[NEW_POPULATION] = pd.Categorical(
        found.cells.reindex(frame.index), categories=names
    ).remove_unused_categories()
    frame.attrs = called.calls.attrs
    write_calls(frame, out, source=source, origin=origin, force=force)
