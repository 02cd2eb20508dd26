"""How far calls can be trusted, as a run keeps it in MLflow: flat metrics to compare versions by, and tables."""

from typing import Any

import pandas as pd

from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.manifest_trust import CalibrationEntry, DistilledEntry

CALIBRATIONS = ("uncalibrated", "calibrated", "test_uncalibrated", "test_calibrated")
SCORES = ("expected_calibration_error", "brier_score", "log_loss")
LEFT_OUT = ("auroc", "auroc_of_confidence", "refused", "known_refused")
OF_SETS = ("coverage", "mean_size", "share_of_one", "test_coverage", "test_mean_size", "test_share_of_one")


def trust_metrics(manifest: Manifest) -> dict[str, float]:
    """Flat names and numbers: `calibrated_brier_score`, `test_calibrated_expected_calibration_error`,
    `novelty_test_refusal_rate`, `left_out_auroc` (means over types, each over its folds), `label_sets_1_coverage` (at
    1 %), `coarse_accuracy`; after `distilled_` the same of the second annotator. Without what was not measured.
    """
    flat = _of_annotator(manifest)
    if manifest.distilled is not None:
        flat |= {f"distilled_{name}": value for name, value in _of_annotator(manifest.distilled).items()}
    if manifest.ontology is not None:
        flat |= {"coarse_accuracy": manifest.ontology.accuracy, "coarse_share_called": manifest.ontology.share_called}
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
    flat: dict[str, Any] = {"temperature": entry.temperature}
    if entry.calibration is not None:
        flat |= _calibration(entry.calibration)
    if entry.novelty is not None:
        novelty = entry.novelty
        flat |= {f"novelty_{name}": getattr(novelty, name) for name in ("threshold", "test_refusal_rate")}
        flat |= {f"left_out_{field}": novelty.mean_left_out(field) for field in LEFT_OUT}
    for level in entry.label_sets.levels if entry.label_sets is not None else ():
        flat |= {f"label_sets_{100 * level.error_rate:g}_{name}": getattr(level, name) for name in OF_SETS}
    return flat


def _calibration(entry: CalibrationEntry) -> dict[str, float]:
    scores = {name: getattr(entry, name) for name in CALIBRATIONS}
    return {f"{name}_{of}": getattr(score, of) for name, score in scores.items() if score for of in SCORES}
