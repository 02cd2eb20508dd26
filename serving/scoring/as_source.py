"""Cells handed in from Python, as the source that everything else reads."""

from typing import TYPE_CHECKING

from cellmark.schemas.cells.cell_source import CellSource

if TYPE_CHECKING:
    from anndata import AnnData


def as_source(cells: "AnnData | CellSource", *, layer: str | None = None, recover_counts: bool = False) -> CellSource:
    """A cell source of an AnnData; a source is returned as it is. `recover_counts`: see `open_cells`."""
    if isinstance(cells, CellSource):
        source = cells
    else:
        from cellmark.schemas.cells.read_anndata import cells_from_anndata

        source = cells_from_anndata(cells, layer=layer)
    if not recover_counts:
        return source
    from cellmark.schemas.cells.recover_counts import recover_source

    return recover_source(source)
