"""Pictures and tables of how far to trust the calls, for the report and the model card."""

from typing import Any

from . import curves
from .facts import ReportFacts
from .words import percent


def trust_facts(facts: ReportFacts) -> dict[str, Any]:
    """Pictures and tables of calibration, unknown cells and the second annotator."""
    manifest = facts.manifest
    calibration, novelty, evaluation = manifest.calibration, manifest.novelty, manifest.evaluation
    bins = calibration is not None and calibration.uncalibrated.bins and calibration.calibrated.bins
    rows: list[dict[str, Any]] = []
    for name in dict.fromkeys(row.cell_type for row in novelty.left_out) if novelty is not None else ():
        of_type = [row for row in novelty.left_out if row.cell_type == name]  # type: ignore[union-attr]
        cells = novelty.left_out_cells(name)  # type: ignore[union-attr]
        rows.append(
            {
                "name": name,
                "folds": len(of_type),
                "n": sum(row.n_unknown for row in of_type),
                "auroc": sum(row.auroc for row in of_type) / len(of_type),
                "confidence": sum(row.auroc_of_confidence for row in of_type) / len(of_type),
                "refused": cells.refused / cells.n,  # type: ignore[union-attr]
                "known": cells.known_refused,  # type: ignore[union-attr]
            }
        )
    return {
        "reliability": curves.reliability_chart(calibration.uncalibrated, calibration.calibrated)
        if calibration is not None and bins
        else None,
        "coverage": curves.coverage_chart(evaluation.confidence)
        if evaluation is not None and len(evaluation.confidence) > 1
        else None,
        "left_out": curves.left_out_chart(novelty.left_out) if novelty is not None and novelty.left_out else None,
        "left_out_rows": rows,
        "auroc": novelty.mean_left_out("auroc") if novelty is not None else None,
        "unknown": novelty.left_out_cells() if novelty is not None else None,
        "distilled": _distilled(facts),
        "level": novelty.left_out_level or "full" if novelty is not None else None,
    }


def _distilled(facts: ReportFacts) -> list[tuple[str, str, str]]:
    """Measure, value and source of each number of the second annotator."""
    entry, measured = facts.manifest.distilled, facts.manifest.metrics.get("distilled")
    if entry is None or not measured:
        return []
    agreement, on = measured.get("agreement") or {}, f"{measured['n_cells']:,} {measured['part']} cells"
    rows = [(f"Calls as the ensemble does, {on}", percent(agreement.get("same_call")), "metrics.distilled.agreement")]
    if entry.calibration is not None:
        error = entry.calibration.calibrated.expected_calibration_error
        rows.append(("Calibration error, held-out folds", percent(error), "distilled.calibration"))
    if entry.novelty is not None:
        refused = percent(entry.novelty.test_refusal_rate)
        rows.append(("Known cells of the test part that stay unassigned", refused, "distilled.novelty"))
    for level in entry.label_sets.levels if entry.label_sets is not None else ():
        name = f"Label sets at {percent(level.error_rate, 0)}: with the label, held-out folds"
        rows.append((name, percent(level.coverage), "distilled.label_sets"))
    return rows
