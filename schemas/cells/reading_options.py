"""How the cells of an input are to be read, whichever door they come through."""

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd


@dataclass(frozen=True, kw_only=True, eq=False)
class ReadingOptions:
    """`layer`: where the raw counts are: None for `X`, `raw` for `raw.X`, else a layer's name (`.h5ad`, `.zarr`).
    `genes_by_cells`: whether a table has genes as rows. `recover_counts`: compute the counts that normalised values
    were made of. `library_size`: name of an `obs` column with each cell's total count over all genes, an array [cells],
    or None to sum over the input's genes; it is looked at once the cells are open.
    """

    layer: str | None = None
    library_size: "str | np.ndarray | pd.Series | None" = None
    genes_by_cells: bool = False
    recover_counts: bool = False

    def for_opening(self) -> dict[str, Any]:
        """What opening a file needs, as plain values: all fields but `library_size`."""
        return {entry.name: getattr(self, entry.name) for entry in fields(self) if entry.name != "library_size"}


AS_IT_IS = ReadingOptions()
"""Counts in `X`, cells as rows, library sizes summed."""
