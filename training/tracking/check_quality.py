"""The verdict of the learned expectations on the training cells themselves: what is odd was odd from the start."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.quality.quality_report import QualityReport

from ..steps.describe import quality_tables

if TYPE_CHECKING:
    from ..run import TrainedModel

DATA_DOCS = "data/data_docs"
"""Where the pages lie among a run's artifacts."""


def check_quality(model: "TrainedModel") -> tuple[QualityReport, dict[str, bytes]]:
    """Run the bundle's Great Expectations suites on its training cells. Takes seconds: a slow import.

    Returns the verdict and Great Expectations' HTML pages, by their place below `data/data_docs/`.
    """
    from cellmark.schemas.quality.expectations import run_expectations

    number = {symbol: column for column, symbol in enumerate(model.cells.gene_symbols)}
    columns = np.array([number[symbol] for symbol in model.bundle.panel.symbols])
    tables = quality_tables(model.cells, model.split.train, columns)
    with tempfile.TemporaryDirectory(prefix="cellmark-") as scratch:
        site = Path(scratch) / "site"
        report = run_expectations(model.bundle.expectations, *tables, data_docs=site)
        pages = [path for path in sorted(site.rglob("*")) if path.is_file()]
        return report, {f"{DATA_DOCS}/{path.relative_to(site).as_posix()}": path.read_bytes() for path in pages}
