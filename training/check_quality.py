"""The verdict of the learned expectations on the training cells themselves: what is odd was odd from the start."""

from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.quality_report import QualityReport

from .describe import quality_tables

if TYPE_CHECKING:
    from .run import TrainedModel


def check_quality(model: "TrainedModel") -> QualityReport:
    """Run the bundle's Great Expectations suites on its training cells. Takes seconds: a slow import."""
    from cellmark.schemas.expectations import run_expectations

    number = {symbol: column for column, symbol in enumerate(model.cells.gene_symbols)}
    columns = np.array([number[symbol] for symbol in model.bundle.panel.symbols])
    return run_expectations(model.bundle.expectations, *quality_tables(model.cells, model.split.train, columns))
