"""Tables and flat metrics of the manifest's evaluation, as a run keeps them in MLflow; the report draws them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel

from cellmark.schemas.manifest.manifest_evaluation import EvaluationEntry

ESTIMATES = (
    "accuracy",
    "macro_f1",
    "baseline_accuracy",
    "baseline_macro_f1",
    "test_accuracy",
    "test_macro_f1",
    "test_baseline_accuracy",
    "test_baseline_macro_f1",
)
MEASURES = ("accuracy", "macro_f1")


def evaluation_metrics(entry: EvaluationEntry | None) -> dict[str, float]:
    """Flat names and numbers: `folds_macro_f1`, `folds_macro_f1_low`, `folds_baseline_macro_f1`, `depth_25_macro_f1`,
    `panel_missing_30_accuracy`, likewise the others. Nothing without an evaluation.
    """
    if entry is None:
        return {}
    flat: dict[str, float] = {}
    for name in ESTIMATES:
        estimate = getattr(entry, name)
        # Of the test part alone the plain values stand among the metrics already.
        prefix = "" if name.startswith("test_") else "folds_"
        if estimate is not None:
            ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
            flat |= {f"{prefix}{name}{end}": value for end, value in ends.items() if value is not None}
    for depth in entry.depth:
        flat |= {f"depth_{100 * depth.share_of_counts:.0f}_{name}": getattr(depth, name) for name in MEASURES}
    for point in entry.partial_panel:
        flat |= {f"panel_missing_{100 * point.share_missing:.0f}_{name}": getattr(point, name) for name in MEASURES}
    return flat


def evaluation_tables(entry: EvaluationEntry | None) -> dict[str, Any]:
    """Tables by their place among the artifacts; nothing without an evaluation."""
    if entry is None:
        return {}
    per_type = pd.DataFrame([{"cell_type": name, **row} for name, row in entry.per_type.items()])
    curves: dict[str, Sequence[BaseModel]] = {
        "folds": entry.per_fold,
        "depth": entry.depth,
        "partial_panel": entry.partial_panel,
        "confidence": entry.confidence,
    }
    frames = {name: pd.DataFrame([row.model_dump() for row in rows]) for name, rows in curves.items() if rows}
    return {
        "evaluation/evaluation.json": entry.model_dump(),
        "evaluation/folds_per_type.csv": per_type,
        **{f"evaluation/{name}.csv": frame for name, frame in frames.items()},
    }
