"""Data as MLflow's inputs of a run: name, digest, where they were, and what they hold."""

import json
from hashlib import file_digest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig

if TYPE_CHECKING:
    from mlflow.entities import DatasetInput

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
