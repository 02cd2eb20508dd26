"""Measures of calls against labels, per part and type; the same flat, for trackers."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

LONGEST_NAME = 200


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`test_accuracy`, `test_macro_f1`, `test_n_cells` and `test_f1/B cell`, likewise of the other parts.

    `metrics`: the manifest's, by part. What was not measured is left out.
    """
    flat: dict[str, float] = {}
    for part, measured in metrics.items():
        for name in ("accuracy", "macro_f1", "n_cells", "n_unknown_cells", "n_genes_missing"):
            if measured.get(name) is not None:
                flat[f"{part}_{name}"] = float(measured[name])
        per_type = measured.get("per_type", {})
        for name, row in zip(metric_names(list(per_type)), per_type.values(), strict=True):
            flat[f"{part}_f1/{name}"] = row["f1"]
    return flat


def metric_names(names: Sequence[str]) -> list[str]:
    """Names that MLflow takes, still all different: letters, digits, spaces and `_-.:`, in the order given."""
    taken: dict[str, int] = {}
    clean = []
    for name in names:
        # Only "+" is common enough in names of cell types to be spelt out: CD4+ and CD4- must not look alike.
        short = re.sub(r"[^\w\-. :]", "_", name.replace("+", "pos")).strip(". ")[:LONGEST_NAME] or "_"
        taken[short] = taken.get(short, 0) + 1
        clean.append(short if taken[short] == 1 else f"{short} {taken[short]}")
    return clean


def per_type_frame(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row per part and cell type: precision, recall, F1 and support."""
    rows = [
        {"part": part, "cell_type": name, **row}
        for part, measured in metrics.items()
        for name, row in measured.get("per_type", {}).items()
    ]
    return pd.DataFrame(rows, columns=["part", "cell_type", "precision", "recall", "f1", "support"])


def evaluate(labels: np.ndarray, calls: np.ndarray, cell_types: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 and per type precision, recall, F1 and support, and the confusion matrix.

    `labels`, `calls`: int [cells], numbers of `cell_types`; a label of -1 is a type that the model does not know. Such
    cells are counted as `n_unknown_cells` and enter nothing else. Types without labelled cells enter neither the
    macro-F1 nor the table. Confusion: rows are labels, columns are calls, in the order of `cell_types`.
    """
    known = labels >= 0
    labels, calls = labels[known], calls[known]
    numbers = np.arange(len(cell_types))
    if len(labels) == 0:
        return {
            "n_cells": 0,
            "n_unknown_cells": int((~known).sum()),
            "accuracy": None,
            "macro_f1": None,
            "per_type": {},
            "confusion": [],
        }
    precision, recall, f1, support = precision_recall_fscore_support(labels, calls, labels=numbers, zero_division=0.0)
    present = support > 0
    return {
        "n_cells": len(labels),
        "n_unknown_cells": int((~known).sum()),
        "accuracy": float((labels == calls).mean()),
        "macro_f1": float(f1[present].mean()),
        "per_type": {
            name: {
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "support": int(support[number]),
            }
            for number, name in enumerate(cell_types)
            if present[number]
        },
        "confusion": confusion_matrix(labels, calls, labels=numbers).tolist(),
    }
