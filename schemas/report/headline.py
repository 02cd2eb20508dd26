"""The first screen of the report: numbers that matter, each with its interval and its source, and the warnings."""

from statistics import fmean
from typing import Any

from .evidence import TypeEvidence, best_scores
from .facts import ReportFacts
from .words import count, interval, listed, percent, score


def _tile(title: str, value: str | None, detail: str, source: str) -> dict[str, Any]:
    return {"title": title, "value": value, "detail": detail, "source": source}


def tiles(facts: ReportFacts) -> list[dict[str, Any]]:
    """Title, value (None: not measured), one line and the source of each headline."""
    return [*_accuracy(facts), _calibration(facts), _novelty(facts), _sets(facts), _depth(facts)]


def _accuracy(facts: ReportFacts) -> list[dict[str, Any]]:
    evaluation, found = facts.manifest.evaluation, []
    words, place, scores = best_scores(facts)
    # Folds that could not learn every type say less of the registered model than cells that it was tested on.
    on_test = evaluation is not None and bool(evaluation.hardly_learned) and evaluation.test_accuracy is not None
    part, n_cells = ("test_", facts.manifest.split.test.n_cells) if on_test else ("", scores["n_cells"])
    for name, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")):
        if evaluation is not None:
            estimate = getattr(evaluation, f"{part}{name}")
            baseline = getattr(evaluation, f"{part}baseline_{name}")
            value, detail = estimate.value, [interval(estimate)]
            if baseline is not None:
                detail.append(f"logistic regression {baseline.value:.3f}")
            on, source = "test cells" if on_test else words or "left-out folds", f"evaluation.{part}{name}"
        else:
            value, detail, on, source = scores.get(name), [], words, f"{place}.{name}"
        detail.append(f"on {n_cells:,} {on}" if value is not None else "")
        found.append(_tile(title, None if value is None else score(value), "; ".join(filter(None, detail)), source))
    return found


def _calibration(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.calibration, "Calibration error"
    if entry is None:
        return _tile(title, None, "Probabilities are the network's own.", "calibration")
    before, after = entry.uncalibrated, entry.calibrated
    detail = (f"{percent(before.expected_calibration_error)} before calibration; "
              f"on {count(entry.n_folds, 'held-out fold')} of {entry.folds}")  # fmt: skip
    return _tile(title, percent(after.expected_calibration_error), detail, "calibration.calibrated")


def mean_auroc(facts: ReportFacts) -> float | None:
    """Mean over types, each the mean over its folds; None where no type was left out."""
    entry = facts.manifest.novelty
    if entry is None or not entry.left_out:
        return None
    names = {row.cell_type for row in entry.left_out}
    return fmean(fmean(row.auroc for row in entry.left_out if row.cell_type == name) for name in sorted(names))


def _novelty(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.novelty, "Unknown cells"
    if entry is None:
        return _tile(title, None, "A cell of an unknown type gets one of the model's types.", "novelty")
    auroc = mean_auroc(facts)
    if auroc is None:
        detail = f"of known cells are left unassigned, as the threshold was set ({entry.score})"
        return _tile(title, percent(entry.false_refusal_rate), detail, "novelty.false_refusal_rate")
    detail = f"AUROC, mean over types left out; {percent(entry.false_refusal_rate)} of known cells refused"
    return _tile(title, score(auroc), detail, "novelty.left_out")


def _sets(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.label_sets, "Label sets"
    if entry is None or not entry.levels:
        return _tile(title, None, "No sets of types with a stated error rate.", "label_sets")
    level = next((one for one in entry.levels if one.error_rate == entry.default_error_rate), entry.levels[0])
    detail = (f"hold the label, {percent(1 - level.error_rate, 0)} were aimed at; {level.mean_size:.2f} types on "
              f"average, one type for {percent(level.share_of_one, 0)} of cells")  # fmt: skip
    return _tile(title, percent(level.coverage), detail, "label_sets.levels")


def _depth(facts: ReportFacts) -> dict[str, Any]:
    evaluation, title = facts.manifest.evaluation, "At a quarter of the counts"
    points = {} if evaluation is None else {point.share_of_counts: point for point in evaluation.depth}
    if 0.25 not in points:
        return _tile(title, None, "Shallow sequencing was not tried.", "evaluation.depth")
    full = f"; {points[1.0].macro_f1:.3f} with all" if 1.0 in points else ""
    return _tile(title, score(points[0.25].macro_f1), f"macro-F1{full}", "evaluation.depth")


def warnings(facts: ReportFacts, types: list[TypeEvidence]) -> list[str]:
    """What a reader must know before using the model, worst first."""
    manifest, found = facts.manifest, []
    if manifest.split.test.n_cells == 0 and manifest.evaluation is None:
        found.append("No cells were held out: how often its calls are right was not measured.")
    elif manifest.split.strategy != "donor":
        found.append("It was tested on other cells of the same data, not on other donors: expect less elsewhere.")
    if manifest.evaluation is not None and manifest.evaluation.hardly_learned:
        groups = manifest.evaluation.hardly_learned.items()
        where = listed([f"{', '.join(names)} (without {fold})" for fold, names in groups])
        found.append(
            f"Cross-validation could not judge every type: hardly any cells were left to learn {where}. These cells "
            "count as wrong there and lower its numbers; look at each type and at the test part."
        )
    if manifest.novelty is None:
        found.append("It cannot tell that a cell is of none of its types.")
    if manifest.calibration is None:
        found.append("Its probabilities are not calibrated: compare them, but do not read them as error rates.")
    thin = [one for one in types if one.thin]
    if thin:
        names = listed([f"{one.name} ({', '.join(word for word, _ in one.thin)})" for one in thin], most=6)
        found.append(f"Evidence is thin for {len(thin)} of {count(len(types), 'type')}: {names}.")
    dropped = manifest.training_data.dropped_cell_types
    if dropped:
        names = listed([f"{name} ({n})" for name, n in dropped.items()])
        found.append(f"Types with too few cells were left out of training, and it does not know them: {names}.")
    return found
