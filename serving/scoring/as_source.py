"""Cells handed in from Python, as the source that everything else reads, aligned to a model's genes."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.errors import ParameterError
from cellmark.schemas.genes.orthologs import Orthologs, read_orthologs, shipped_orthologs
from cellmark.schemas.manifest.notes_on_model import notes_on_model

from .call_options import NO_FLOORS, Floors

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


def fit_input(
    bundle: Bundle, source: CellSource, reading: ReadingOptions, *, floors: Floors = NO_FLOORS
) -> CheckedCells:
    """The opened cells, aligned to the panel.

    Raises `ParameterError` for floors, `InputError` with all that is visible without reading the values, and what
    `read_orthologs` raises for a file that is not a table of orthologs.
    """
    floors.check(bundle)
    share = floors.min_panel_share
    checked = CheckedCells(
        source,
        bundle.panel,
        library_size=reading.library_size,
        input=reading.input,
        n_genes_trained=bundle.manifest.n_genes_measured,
        min_share=bundle.manifest.panel.min_share if share is None else share,
        min_mass=floors.min_attribution_share,
        library_range=bundle.library_size_range,
        panel_fraction=bundle.panel_fraction,
        max_unknown_share=floors.max_unknown_share,
        feature_rule=bundle.manifest.feature_rule,
        orthologs=orthologs_of(reading),
        symbol_column=reading.symbol_column,
    )
    checked.notes = (*notes_on_model(bundle.manifest), *checked.notes)
    return checked


def orthologs_of(reading: ReadingOptions) -> Orthologs | None:
    """By which genes of another organism are to be named, None where they are not. Raises as `read_orthologs`."""
    if reading.ortholog_table is not None:
        return read_orthologs(Path(reading.ortholog_table))
    return shipped_orthologs() if reading.orthologs else None
