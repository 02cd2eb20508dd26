"""The first screen of the report: numbers that matter, each with its interval and its source, and the warnings."""

from collections.abc import Collection
from typing import Any

from ..manifest.next_batch import LEVEL, next_batch
from ..manifest.verdict import verdict, weaknesses
from .evidence import TypeEvidence, best_scores, resting_on_few
from .facts import ReportFacts, count, interval, listed, percent, score


def _tile(title: str, value: str | None, detail: str, source: str) -> dict[str, Any]:
    return {"title": title, "value": value, "detail": detail, "source": source}


def tiles(facts: ReportFacts) -> list[dict[str, Any]]:
    """Title, value (None: not measured), one line and the source of each headline."""
    return [*_accuracy(facts), _calibration(facts), _novelty(facts), _sets(facts), _depth(facts)]


def on_test(facts: ReportFacts) -> bool:
    """Whether the headline is of the test part: what folds could not learn is no fault of the registered model."""
    return facts.manifest.evaluation is not None and best_scores(facts)[1] == "metrics.test"


def _accuracy(facts: ReportFacts) -> list[dict[str, Any]]:
    evaluation, found = facts.manifest.evaluation, []
    words, place, scores = best_scores(facts)
    part = "test_" if on_test(facts) else ""
    for name, title in (("accuracy", "Accuracy"), ("macro_f1", "Macro-F1")):
        if evaluation is not None and getattr(evaluation, f"{part}{name}") is not None:
            estimate = getattr(evaluation, f"{part}{name}")
            baseline = getattr(evaluation, f"{part}baseline_{name}")
            value, detail = estimate.value, [interval(estimate)]
            if baseline is not None:
                detail.append(f"logistic regression {baseline.value:.3f}")
            on, source = words or "held-out folds", f"evaluation.{part}{name}"
        else:
            value, detail, on, source = scores.get(name), [], words, f"{place}.{name}"
        detail.append(f"on {scores['n_cells']:,} {on}" if value is not None else "")
        if name == "macro_f1" and value is not None:
            detail.append(resting_on_few(scores["per_type"]))
        found.append(_tile(title, None if value is None else score(value), "; ".join(filter(None, detail)), source))
    return found


def _calibration(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.calibration, "Calibration error"
    if entry is None:
        return _tile(title, None, "Probabilities are the network's own.", "calibration")
    before, after, source = entry.uncalibrated, entry.calibrated, "calibration.calibrated"
    where = f"on {count(entry.n_folds, 'held-out fold')} of {entry.folds}"
    if on_test(facts) and entry.test_uncalibrated is not None and entry.test_calibrated is not None:
        before, after, source = entry.test_uncalibrated, entry.test_calibrated, "calibration.test_calibrated"
        where = f"on {after.n_cells:,} test cells"
    detail = f"how far confidence is from accuracy; {percent(before.expected_calibration_error)} before; {where}"
    return _tile(title, percent(after.expected_calibration_error), detail, source)


def _novelty(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.novelty, "Unknown cells"
    if entry is None:
        return _tile(title, None, "A cell of an unknown type gets one of the model's types.", "novelty")
    unknown, auroc = entry.left_out_cells(), entry.mean_left_out("auroc")
    if unknown is None:
        wrongly = f"{percent(_known_refused(facts))} of known cells stay unassigned"
        return _tile(title, None, f"{wrongly}; for cells of unknown types it was not measured.", "novelty")
    types = count(len({row.cell_type for row in entry.left_out}), "type")
    detail = (
        f"AUROC against known cells, 0.5 is chance, mean over types; {unknown.refused:,} of "
        f"{unknown.n:,} cells of {types} left out of training ({percent(unknown.refused / unknown.n, 0)}) stayed "
        f"unassigned, and {percent(unknown.known_refused)} of known cells"
    )
    sizes = {row.cell_type: entry.left_out_cells(row.cell_type) for row in entry.left_out}
    if entry.folds == "donors" and entry.refused_per_fold:
        rates = entry.refused_per_fold.values()
        detail += (
            f"; a threshold set without a donor leaves {percent(min(rates))} to {percent(max(rates))} of its known "
            f"cells unassigned{_of_next(rates)}"
        )
    if few := resting_on_few({name: {"support": cells.n} for name, cells in sizes.items() if cells is not None}):
        detail += f"; the AUROC {few}"
    return _tile(title, score(auroc), detail, "novelty.left_out")


def _of_next(shares: Collection[float]) -> str:
    """What donors left out say of the next one; nothing where they are too few to say anything."""
    found = next_batch(shares)
    if found is None:
        return ""
    return f" (the next donor: {percent(found.low)} to {percent(found.high)}, with probability {percent(LEVEL, 0)})"


def _known_refused(facts: ReportFacts) -> float:
    """The share of known cells, in the test part where there is one, otherwise as the threshold was set."""
    entry = facts.manifest.novelty
    assert entry is not None  # noqa: S101
    return entry.false_refusal_rate if entry.test_refusal_rate is None else entry.test_refusal_rate


def _sets(facts: ReportFacts) -> dict[str, Any]:
    entry, title = facts.manifest.label_sets, "Label sets"
    if entry is None or not entry.levels:
        return _tile(title, None, "No sets of types with a stated error rate.", "label_sets")
    level = next((one for one in entry.levels if one.error_rate == entry.default_error_rate), entry.levels[0])
    coverage, size, single, where = level.coverage, level.mean_size, level.share_of_one, f"held-out {entry.folds}"
    of_test = level.test_coverage, level.test_mean_size, level.test_share_of_one
    if on_test(facts) and None not in of_test:
        (coverage, size, single), where = of_test, "the test part"  # type: ignore[assignment]  # none is None
    detail = (
        f"hold the label, {percent(1 - level.error_rate, 0)} were aimed at; {size:.2f} types on "
        f"average, one type for {percent(single, 0)} of cells; on {where}"
    )
    if entry.folds == "donors" and (shares := level.coverage_per_fold.values()):
        detail += f"; of a donor left out {percent(min(shares))} to {percent(max(shares))}{_of_next(shares)}"
    elif entry.folds == "cells":
        detail += "; for samples of the same laboratory and protocol"
    return _tile(title, percent(coverage), detail, "label_sets.levels")


def _depth(facts: ReportFacts) -> dict[str, Any]:
    evaluation, title = facts.manifest.evaluation, "At a quarter of the counts"
    points = {} if evaluation is None else {point.share_of_counts: point for point in evaluation.depth}
    if evaluation is None or 0.25 not in points:
        return _tile(title, None, "Shallow sequencing was not tried.", "evaluation.depth")
    name, measure = "macro_f1", "macro-F1"
    where = facts.manifest.metrics.get("test", {}) if evaluation.evaluated_on == "test" else evaluation.model_dump()
    few = resting_on_few(where.get("per_type", {}))
    if few:  # a cell or two would decide it
        name, measure = "accuracy", f"accuracy; macro-F1 {few} and is not shown"
    full = f"{getattr(points[1.0], name):.3f} with all counts; " if 1.0 in points else ""
    return _tile(title, score(getattr(points[0.25], name)), f"{full}{measure}", "evaluation.depth")


def _beaten(facts: ReportFacts) -> list[str]:
    """That the simple rival did clearly better on the cells of the headline."""
    evaluation, part = facts.manifest.evaluation, "test_" if on_test(facts) else ""
    ours, theirs = (getattr(evaluation, f"{part}{name}", None) for name in ("macro_f1", "baseline_macro_f1"))
    if ours is None or theirs is None or theirs.value < ours.value + 0.02:
        return []
    few = resting_on_few(best_scores(facts)[2]["per_type"])
    return [
        f"Logistic regression on the same genes did better on the same cells: macro-F1 {score(theirs.value)} "
        f"against {score(ours.value)}{', which ' + few if few else ''}."
    ]


def warnings(facts: ReportFacts, types: list[TypeEvidence]) -> list[str]:
    """What a reader must know before using the model, worst first."""
    manifest, found = facts.manifest, []
    if weaknesses(manifest):
        found.append(verdict(manifest))
    if manifest.split.test.n_cells == 0 and manifest.evaluation is None:
        found.append("No cells were held out: how often its calls are right was not measured.")
    elif manifest.split.strategy != "donor":
        found.append("It was tested on other cells of the same data, not on other donors: expect less elsewhere.")
    if manifest.evaluation is not None and manifest.evaluation.hardly_learned:
        groups = manifest.evaluation.hardly_learned.items()
        where = listed([f"{', '.join(names)} (without {fold})" for fold, names in groups])
        found.append(
            f"Cross-validation could not judge every type: hardly any cells were left to learn {where}. These cells "
            "count as wrong there and lower its numbers; types are judged one by one without them, or on the test part."
        )
    found += _beaten(facts)
    if manifest.novelty is not None and manifest.novelty.folds == "cells":
        found.append(
            f"That {percent(manifest.novelty.false_refusal_rate, 0)} of known cells stay unassigned is a promise for "
            "samples of the same laboratory and protocol only: no donors or batches were held out to measure others."
        )
    if manifest.novelty is None:
        found.append("It cannot recognise cells of types that it has not learned.")
    if manifest.calibration is None:
        found.append("Its probabilities are not calibrated: compare them, but do not read them as error rates.")
    thin = sorted((one for one in types if one.thin), key=lambda one: -len(one.thin))
    if thin:
        names = listed([f"{one.name} ({', '.join(word for word, _ in one.thin)})" for one in thin], most=6)
        found.append(f"Evidence is thin for {len(thin)} of {count(len(types), 'type')}: {names}.")
    dropped = manifest.training_data.dropped_cell_types
    if dropped:
        names = listed([f"{name} ({n})" for name, n in dropped.items()])
        found.append(f"Types with too few cells were removed before training, so it does not know them: {names}.")
    return found
