"""The training cells as an MLflow dataset, and the verdict of the learned expectations on them."""

import json
import tempfile
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmark.schemas.quality.quality_report import QualityReport

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..steps.describe import quality_tables

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

    from ..run import TrainedModel


LONGEST_DIGEST = 36
"""Characters that MLflow keeps; the full digest is a tag of the run and of the version."""


def dataset_input(config: TrainingConfig, cells: LabelledCells, *, digest: str) -> "DatasetInput":
    """The training data. `digest`: of the cells as they are used."""
    columns = {"label": config.label, "donor": config.donor, "library_size": config.library_size}
    shape = ["cells", len(cells.gene_symbols)]
    schema = {
        "counts": {"from": cells.counts_from, "dtype": str(cells.counts.dtype), "shape": shape},
        "obs": {name: column for name, column in columns.items() if column},
    }
    profile = {
        "n_cells": cells.n_obs,
        "n_genes": cells.n_genes_measured,
        "cells_per_type": cells.cells_per_type(),
        "dropped_cell_types": cells.dropped,
        "library_size_source": cells.library_size_source,
        "organism": cells.organism,
    }
    return _input(config.data, digest, context="training", schema=schema, profile=profile)


def file_input(path: Path | None, *, context: str) -> "DatasetInput | None":
    """A file by the SHA-256 of its bytes; None for no file, and for a folder, whose bytes have no order."""
    if path is None or not path.is_file():
        return None
    with path.open("rb") as handle:
        return _input(path, file_digest(handle, "sha256").hexdigest(), context=context)


def _input(path: Path, digest: str, *, context: str, schema: Any = None, profile: Any = None) -> "DatasetInput":
    from mlflow.entities import Dataset, DatasetInput, InputTag

    dataset = Dataset(
        name=path.name,
        digest=digest[:LONGEST_DIGEST],
        source_type="local",
        source=json.dumps({"uri": path.absolute().as_posix()}),
        schema=json.dumps(schema) if schema else None,
        profile=json.dumps(profile) if profile else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", context)])


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
