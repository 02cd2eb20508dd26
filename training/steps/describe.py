"""What the manifest and the tracker say of the training data: facts and digests, no cell's identity."""

from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.checks.counts_of_genes import FEATURE_RULE
from cellmark.schemas.manifest.manifest_section import sha256
from cellmark.schemas.quality.quality_suites import make_expectations
from cellmark.schemas.quality.quality_table import QualityAccumulator, find_mitochondrial

from ..cells.labelled_cells import LabelledCells
from ..cells.split import Split
from ..config import TrainingConfig

CHUNK = 4096


def describe_data(cells: LabelledCells, split: Split) -> dict[str, Any]:
    """The manifest's sections on the data and their division."""
    parts = {"train": split.train, "validation": split.validation, "test": split.test}
    return {
        "training_data": {
            "digest": cells.digest(),
            "n_cells": cells.n_obs,
            "n_genes": cells.n_genes_measured,
            "cells_per_type": cells.cells_per_type(),
            "dropped_cell_types": cells.dropped,
            "library_size_source": cells.library_size_source,
            "counts_from": cells.counts_from,
        },
        "split": {
            "strategy": split.strategy,
            "seed": split.seed,
            "notes": list(split.notes),
            **{name: describe_part(cells, rows) for name, rows in parts.items()},
        },
        "organism": cells.organism,
        "n_genes_measured": cells.n_genes_measured,
        "feature_rule": FEATURE_RULE,
    }


def describe_part(cells: LabelledCells, rows: np.ndarray) -> dict[str, Any]:
    """One part of the split. `rows`: cell numbers."""
    return {
        "n_cells": len(rows),
        "cells_per_type": cells.cells_per_type(rows),
        "donors": sorted(map(str, np.unique(cells.donors[rows]))) if cells.donors is not None else None,
        "cell_ids_sha256": sha256("\n".join(sorted(map(str, cells.cell_ids[rows]))).encode()),
    }


def split_frame(cells: LabelledCells, split: Split) -> pd.DataFrame:
    """Cell id and part of every cell: kept with the MLflow run, not in the bundle."""
    part = np.empty(cells.n_obs, dtype=object)
    part[split.train], part[split.validation], part[split.test] = "train", "validation", "test"
    return pd.DataFrame({"cell_id": cells.cell_ids, "part": part})


def quality_tables(cells: LabelledCells, rows: np.ndarray, columns: np.ndarray) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The per-cell and the per-sample table of some cells. `rows`: cell numbers; `columns`: the panel's columns."""
    in_panel = np.zeros(cells.counts.shape[1], dtype=bool)
    in_panel[columns] = True
    quality = QualityAccumulator(
        panel_columns=in_panel,
        mitochondrial_columns=find_mitochondrial(np.array(cells.gene_symbols)),
        panel_overlap=1.0,
    )
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        quality.add(cells.counts[chunk], cell_ids=cells.cell_ids[chunk], library_size=cells.library_size[chunk])
    return quality.cells(), quality.sample()


def expect(cells: LabelledCells, split: Split, columns: np.ndarray, config: TrainingConfig) -> dict[str, Any]:
    """The Great Expectations suites, from training cells only."""
    per_cell, per_sample = quality_tables(cells, split.train, columns)
    return make_expectations(per_cell, per_sample, name=config.name)


def frame_of_calls(cells: LabelledCells, rows: np.ndarray, probabilities: np.ndarray) -> pd.DataFrame:
    """Cell id, label, call and confidence of some cells. `probabilities`: all cells x types."""
    names = np.array(cells.cell_types)
    best = probabilities[rows].argmax(axis=1)
    return pd.DataFrame(
        {
            "cell_id": cells.cell_ids[rows],
            "label": names[cells.codes[rows]],
            "call": names[best],
            "confidence": probabilities[rows, best],
        }
    )
