"""Cells aligned to a model's genes, by its own floors or others."""

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.checks.checked_cells import CheckedCells

from .call_options import NO_FLOORS, Floors


def fit_input(
    bundle: Bundle, source: CellSource, reading: ReadingOptions, *, floors: Floors = NO_FLOORS
) -> CheckedCells:
    """The opened cells, aligned to the panel. Raises `ParameterError` for floors, and `InputError` with all that is
    visible without reading the values.
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
        feature_rule=bundle.manifest.feature_rule,
    )
