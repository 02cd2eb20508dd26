"""Cells handed in from Python, as the source that everything else reads."""

import os
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.errors import ParameterError

if TYPE_CHECKING:
    from anndata import AnnData

    AnyCells: TypeAlias = AnnData | pd.DataFrame | str | os.PathLike[str] | CellSource


def as_source(cells: "AnyCells", reading: ReadingOptions = AS_IT_IS) -> CellSource:
    """A cell source of an AnnData, a data frame or a path, whose file is open until the source is gone; a source is
    returned as it is, or with its counts recovered.
    """
    if isinstance(cells, str | os.PathLike):
        from cellmark.schemas.cells.read import open_cells

        return open_cells(cells, reading)
    if reading.genes_by_cells:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="genes_by_cells",
            expected="the path of a table",
            found=f"a {type(cells).__name__}",
            remedy="Omit it, and transpose the cells where genes are rows: adata.T, or frame.T.",
        )
    if isinstance(cells, CellSource):
        source = cells
    elif isinstance(cells, pd.DataFrame):
        from cellmark.schemas.cells.read_frame import cells_from_frame

        column = reading.library_size if isinstance(reading.library_size, str) else None
        source = cells_from_frame(cells, layer=reading.layer, library_size=column)
    else:
        from cellmark.schemas.cells.read_anndata import cells_from_anndata

        source = cells_from_anndata(cells, layer=reading.layer)
    if not reading.recover_counts:
        return source
    from cellmark.schemas.cells.recover_counts import recover_source

    return recover_source(source)
