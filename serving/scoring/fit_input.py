"""Cells aligned to a model's genes, by its own floors or others."""

from pathlib import Path

import numpy as np

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.checks.library_size import PanelFraction
from cellmark.schemas.genes.orthologs import Orthologs, read_orthologs, shipped_orthologs

from .call_options import NO_FLOORS, Floors


def fit_input(
    bundle: Bundle, source: CellSource, reading: ReadingOptions, *, floors: Floors = NO_FLOORS
) -> CheckedCells:
    """The opened cells, aligned to the panel. Raises `ParameterError` for floors, and `InputError` with all that is
    visible without reading the values. A table of orthologs that is none raises as `read_orthologs`.
    """
    floors.check(bundle)
    share = floors.min_panel_share
    return CheckedCells(
        source,
        bundle.panel,
        library_size=reading.library_size,
        input=reading.input,
        n_genes_trained=bundle.manifest.n_genes_measured,
        min_share=bundle.manifest.panel.min_share if share is None else share,
        min_mass=floors.min_attribution_share,
        library_range=bundle.library_size_range,
        panel_fraction=_panel_fraction(bundle) if reading.library_size is not None else None,
        max_unknown_share=floors.max_unknown_share,
        feature_rule=bundle.manifest.feature_rule,
        orthologs=_orthologs(reading),
    )


def _panel_fraction(bundle: Bundle) -> PanelFraction | None:
    median = bundle.manifest.panel.library_fraction
    return None if median is None else PanelFraction(median, np.expm1(bundle.genes["baseline"].to_numpy(np.float64)))


def _orthologs(reading: ReadingOptions) -> Orthologs | None:
    if reading.ortholog_table is not None:
        return read_orthologs(Path(reading.ortholog_table))
    return shipped_orthologs() if reading.orthologs else None
