"""The manifest's evaluation and trust, as a run keeps them in MLflow: metrics and tables; the report draws them."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from pydantic import BaseModel

from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.manifest_evaluation import EvaluationEntry
from cellmark.schemas.manifest.manifest_trust import CalibrationEntry, DistilledEntry

OF_FOLDS = ("accuracy", "macro_f1", "baseline_accuracy", "baseline_macro_f1")
OF_TEST = tuple(f"test_{name}" for name in OF_FOLDS)
MEASURES = ("accuracy", "macro_f1")


def evaluation_metrics(entry: EvaluationEntry | None) -> dict[str, float]:
    """Flat names and numbers: `cv/macro_f1`, `cv/macro_f1_low`, `cv/baseline_macro_f1`, `test/macro_f1_low`,
    `depth/macro_f1_at_25`, `panel/accuracy_missing_30`, `level_1/macro_f1`, `level_1/calibrated` (its calibration
    error), likewise the others. Nothing without an evaluation.
    """
    if entry is None:
        return {}
    flat: dict[str, float] = {}
    for name in (*OF_FOLDS, *OF_TEST):
        estimate = getattr(entry, name)
        if estimate is not None:
            place = f"test/{name.removeprefix('test_')}" if name in OF_TEST else f"cv/{name}"
            ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
            flat |= {f"{place}{end}": value for end, value in ends.items() if value is not None}
    for depth in entry.depth:
        flat |= {f"depth/{name}_at_{100 * depth.share_of_counts:.0f}": getattr(depth, name) for name in MEASURES}
    for point in entry.partial_panel:
        flat |= {f"panel/{name}_missing_{100 * point.share_missing:.0f}": getattr(point, name) for name in MEASURES}
    for number, level in enumerate(entry.levels, start=1):
        flat |= {f"level_{number}/{name}": getattr(level, name) for name in (*MEASURES, "calibrated")}
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
        "levels": entry.levels,
    }
    frames = {name: pd.DataFrame([row.model_dump() for row in rows]) for name, rows in curves.items() if rows}
    return {
        "evaluation/evaluation.json": entry.model_dump(),
        "evaluation/folds_per_type.csv": per_type,
        **{f"evaluation/{name}.csv": frame for name, frame in frames.items()},
    }


CALIBRATIONS = ("uncalibrated", "calibrated", "test_uncalibrated", "test_calibrated")
SCORES = ("expected_calibration_error", "brier_score", "log_loss")
LEFT_OUT = ("auroc", "auroc_of_confidence", "refused", "known_refused")
OF_SETS = ("coverage", "mean_size", "share_of_one", "test_coverage", "test_mean_size", "test_share_of_one")


def trust_metrics(manifest: Manifest) -> dict[str, float]:
    """Flat names and numbers: `calibration/calibrated_brier_score`, `novelty/test_refusal_rate`,
    `novelty/left_out_auroc` (means over types, each over its folds), `label_sets/coverage_at_1` (at 1 %),
    `ontology/coarse_accuracy`; below `distilled/` the same of the second annotator. Without what was not measured.
    """
    flat = _of_annotator(manifest)
    if manifest.distilled is not None:
        flat |= {f"distilled/{name}": value for name, value in _of_annotator(manifest.distilled).items()}
    if manifest.ontology is not None:
        entry = manifest.ontology
        flat |= {"ontology/coarse_accuracy": entry.accuracy, "ontology/coarse_share_called": entry.share_called}
    return {name: float(value) for name, value in flat.items() if value is not None}


def trust_tables(manifest: Manifest) -> dict[str, pd.DataFrame]:
    """Tables by their place among the artifacts: reliability, types left out, label sets by fold; without those that
    were not measured.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    if manifest.calibration is not None:
        scores = {name: getattr(manifest.calibration, name) for name in CALIBRATIONS}
        tables["reliability"] = [
            {"probabilities": name, **one.model_dump()} for name, score in scores.items() if score for one in score.bins
        ]
    if manifest.novelty is not None:
        rows = [row.model_dump() for row in manifest.novelty.left_out]
        tables["left_out"] = [{**row, "together": "; ".join(row["together"])} for row in rows]
    if manifest.label_sets is not None:
        tables["label_sets"] = [
            {"error_rate": level.error_rate, "fold": fold, "coverage": share}
            for level in manifest.label_sets.levels
            for fold, share in level.coverage_per_fold.items()
        ]
    return {f"evaluation/{name}.csv": pd.DataFrame(rows) for name, rows in tables.items() if rows}


def _of_annotator(entry: Manifest | DistilledEntry) -> dict[str, Any]:
    flat: dict[str, Any] = {"calibration/temperature": entry.temperature}
    if entry.calibration is not None:
        flat |= _calibration(entry.calibration)
    if entry.novelty is not None:
        novelty = entry.novelty
        flat |= {f"novelty/{name}": getattr(novelty, name) for name in ("threshold", "test_refusal_rate")}
        flat |= {f"novelty/left_out_{field}": novelty.mean_left_out(field) for field in LEFT_OUT}
    for level in entry.label_sets.levels if entry.label_sets is not None else ():
        flat |= {f"label_sets/{name}_at_{100 * level.error_rate:g}": getattr(level, name) for name in OF_SETS}
    return flat


def _calibration(entry: CalibrationEntry) -> dict[str, float]:
    scores = {name: getattr(entry, name) for name in CALIBRATIONS}
    return {f"calibration/{name}_{of}": getattr(score, of) for name, score in scores.items() if score for of in SCORES}
