"""Measures of a run as flat names and numbers, as MLflow keeps them."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

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
