"""What a bundle says of its training data, and where and when it was made, without the name of a host or a path."""

import importlib.metadata
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.checks.counts_of_genes import FEATURE_RULE
from cellmark.schemas.checks.split import Split
from cellmark.schemas.manifest.manifest_section import sha256
from cellmark.schemas.quality.quality_suites import make_expectations
from cellmark.schemas.quality.quality_table import QualityAccumulator, find_mitochondrial

from ..cells.labelled_cells import LabelledCells
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
            "genes_of": cells.genes_of,
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
    if cells.normalised:
        per_cell = per_cell.drop(columns="total_counts")
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


ENVIRONMENT = ("cellmark", "torch", "onnx", "onnxruntime", "numpy", "scipy", "pandas", "anndata")


def code_facts() -> dict[str, str | None]:
    """Version of cellmark, and the commit of the checkout that it runs from, where it runs from one."""
    checkout = Path(__file__).resolve().parents[2]
    return {"version": importlib.metadata.version("cellmark"), "commit": _commit_of(checkout)}


def _commit_of(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None
    try:
        asked = subprocess.run(  # noqa: S603
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        # A machine without git, or with a hanging one: the commit is a courtesy, no reason to lose the model.
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def environment_facts() -> dict[str, str]:
    """Python, platform and the versions of what shaped the model; no host names, no paths."""
    facts = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for name in ENVIRONMENT:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def now() -> str:
    """The date of a manifest: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
