"""The quality tables of an input, collected while it is read, and their comparison with the training data's."""

from pathlib import Path

import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import RowChunk
from cellmark.schemas.checks.checked_cells import CheckedCells, PreparedChunk
from cellmark.schemas.quality.quality_report import QualityReport
from cellmark.schemas.quality.quality_table import QualityAccumulator, find_mitochondrial


class QualityWatch:
    """Watches the chunks of one input; call `compare` when all have been seen."""

    def __init__(self, checked: CheckedCells) -> None:
        self._checked = checked
        self._tables = QualityAccumulator(
            panel_columns=checked.match.columns >= 0,
            mitochondrial_columns=find_mitochondrial(checked.genes.symbols),
            panel_overlap=checked.match.share,
        )

    def see(self, chunk: RowChunk, prepared: PreparedChunk) -> None:
        """The next chunk; one with problems is passed over, since such an input is refused anyway."""
        if prepared.cells is not None:
            ids = self._checked.cell_ids[chunk.start : chunk.start + chunk.X.shape[0]]
            self._tables.add(chunk.X, cell_ids=ids, library_size=prepared.cells.library_size)

    def cells(self) -> pd.DataFrame:
        """One row per cell, see `cell_quality`."""
        return self._tables.cells()

    def sample(self) -> pd.DataFrame:
        """One row, see `sample_quality`."""
        return self._tables.sample()

    def compare(self, bundle: Bundle, *, data_docs: Path | None = None) -> QualityReport:
        """Run the bundle's Great Expectations suites. `data_docs`: a new folder for its HTML pages.

        Of normalised cells, depth is listed as not measured.
        """
        from cellmark.schemas.quality.expectations import run_expectations

        cells, sample, normalised = self._tables.cells(), self._tables.sample(), self._checked.normalised
        return run_expectations(bundle.expectations, cells, sample, data_docs=data_docs, normalised=normalised)
