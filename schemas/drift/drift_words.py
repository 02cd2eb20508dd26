"""A drift report in a biologist's words: one sentence for the verdict, a few words for each measure."""

from typing import Any

from ..reference_profile import RATIOS
from .drift_report import LIMITS, ORDER, DriftReport, Measure, judged_size

NAMES = {
    "library_size": "library size",
    "genes_detected": "genes detected",
    "mitochondrial_share": "mitochondrial share",
    "panel_overlap": "panel overlap",
    "detection": "detection rates",
    "confidence": "confidence",
    "novelty": "novelty",
    "unassigned": "unassigned",
    "composition": "composition",
}
OPENING = {"ok": "As held-out cells", "moved": "Moved", "far": "Far from the training data"}
MOST_TYPES = 4


def verdict(report: DriftReport) -> str:
    """What differs, the gravest first; then what training donors show as well, and composition: no faults."""
    if report.severity is None:
        return "Not judged: too few cells, or nothing that the profile knows."
    faults = [measure for measure in report.measures if measure.is_fault and measure.severity in ("moved", "far")]
    faults.sort(key=lambda measure: -ORDER[measure.severity or "ok"])
    parts = [in_words(measure) for measure in faults]
    outside = [cell_type.cell_type for cell_type in report.cell_types if cell_type.outside]
    if outside:
        parts.append(f"{_listed(outside)} outside the training range")
    text = OPENING[report.severity] + (": " + ", ".join(parts) if parts else "") + "."
    within = [measure for measure in report.measures if measure.is_fault and is_within_donors(report, measure)]
    if within:
        text += f" No more than training donors differ by: {', '.join(in_words(measure) for measure in within)}."
    text += _as_one_sample(report)
    composition = report.measure("composition")
    if composition.severity in ("moved", "far"):
        text += f" Other composition, no fault by itself: {_changed_shares(report)}."
    return text


def _as_one_sample(report: DriftReport) -> str:
    """How many cells are unassigned where another threshold than the one compared by has decided that."""
    n_called, compared = report.facts.get("n_unassigned"), report.measure("unassigned").observed
    if n_called is None or compared is None or n_called == round(compared * report.n_cells):
        return ""
    share = short_percent(n_called / report.n_cells)
    return f" Judged as one sample {share} are unassigned, by the fixed threshold {short_percent(compared)}."


def is_within_donors(report: DriftReport, measure: Measure) -> bool:
    """Whether a measure would count as moved, did training donors not differ by as much."""
    if measure.effect is None or measure.severity != "ok" or report.limits[measure.name].donors is None:
        return False
    return report.limits[measure.name].moved > LIMITS[measure.name].moved <= judged_size(measure.name, measure.effect)


def donors_in_words(report: DriftReport, measure: Measure) -> str:
    """By how much any training donor differs from the others in a measure; empty where that is not known."""
    largest = report.limits[measure.name].donors
    return "" if largest is None else f"up to {size_in_words(measure.name, largest).lstrip('+')}"


def plain_report(report: DriftReport) -> dict[str, Any]:
    """The report as plain values, its verdict first."""
    return {"verdict": verdict(report), **report.to_dict()}


def in_words(measure: Measure) -> str:
    """What a measure says; why it says nothing."""
    name = NAMES[measure.name]
    if measure.effect is None:
        return f"{name} not compared ({measure.reason or 'too few cells of any type'})"
    match measure.name:
        case "library_size" | "genes_detected":
            return f"{name} {_ratio(measure.effect)} within types (median {_medians(measure, '{:,.0f}')})"
        case "mitochondrial_share":
            return f"{name} {_points(measure.effect)} within types (median {_medians(measure, '{:.1%}')})"
        case "panel_overlap":
            return f"{short_percent(measure.effect)} of the panel's genes not measured"
        case "detection":
            return f"detection rates {100 * measure.effect:.1f} points off on average"
        case "confidence":
            return f"{short_percent(measure.effect)} of cells less confident than 95 % of held-out cells of their type"
        case "novelty":
            return f"{short_percent(measure.effect)} of cells more novel than 95 % of held-out cells of their type"
        case "unassigned":
            return f"{short_percent(measure.observed)} unassigned against {short_percent(measure.expected)} expected"
        case _:
            return f"{short_percent(measure.effect)} of the cells in other types"


def size_in_words(name: str, effect: float) -> str:
    """An effect of a measure, or a limit of it, as short as a table needs it."""
    if name in RATIOS:
        return f"× {effect:.2f}"
    if name == "mitochondrial_share":
        return f"{100 * effect:+.1f} points"
    return f"{100 * effect:.1f} points" if name == "detection" else short_percent(effect)


def short_percent(share: float | None) -> str:
    """A share in per cent, as exact as it is worth telling."""
    if share is None:
        return ""
    return f"{100 * share:.1f} %" if 0 < abs(share) < 0.0995 else f"{100 * share:.0f} %"


def _ratio(ratio: float) -> str:
    if ratio >= 2:
        return f"{ratio:.1f} times as large"
    change = round(100 * (ratio - 1))
    return "the same" if change == 0 else f"{abs(change)} % {'higher' if change > 0 else 'lower'}"


def _points(difference: float) -> str:
    points = f"{abs(100 * difference):.1f}"
    return "the same" if points == "0.0" else f"{points} points {'higher' if difference > 0 else 'lower'}"


def _medians(measure: Measure, form: str) -> str:
    known = [
        form.format(value).replace("%", " %") for value in (measure.observed, measure.expected) if value is not None
    ]
    return " against ".join(known)


def _changed_shares(report: DriftReport) -> str:
    largest = sorted(report.cell_types, key=lambda one: -abs(one.share - one.expected_share))[:MOST_TYPES]
    return ", ".join(
        f"{one.cell_type} {short_percent(one.share)} against {short_percent(one.expected_share)}"
        for one in largest
        if abs(one.share - one.expected_share) >= 0.01
    )


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MOST_TYPES} more types" if len(names) > MOST_TYPES else ""
    return ", ".join(names[:MOST_TYPES]) + more
