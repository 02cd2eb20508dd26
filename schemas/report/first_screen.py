"""The first screen of the report: what a biologist asks first, each answer a sentence with the cells that it counts.

No sentence rests on a handful of cells: below the limits here it says that it cannot be made.
"""

from typing import NamedTuple

import numpy as np

from ..manifest.verdict import FEWEST_CELLS
from .evidence import FEW_FOR_A_SCORE, FEW_TESTED, TypeEvidence, best_scores
from .facts import ReportFacts, count, listed, percent

FEW_ERRORS = 5
"""Fewer cells of one type that are called one other type are no frequent error."""
NO_BREAK = "\u00a0"


class Sentence(NamedTuple):
    """`topic`: a short heading; `said`: the sentence; `detail`: the cells and what else is known; `source`: where the
    numbers stand; `is_known`: whether it was measured on enough cells.
    """

    topic: str
    said: str
    detail: str
    source: str
    is_known: bool = True


def first_screen(facts: ReportFacts, types: list[TypeEvidence]) -> list[Sentence]:
    """The first is the answer to whether its calls are right, the others what to know before trusting one."""
    answers = [
        _right(facts),
        _error(facts),
        _hardest(types),
        _cannot_be_judged(types),
        _unknown(facts),
        _confidence(facts),
        _depth(facts),
    ]
    return [one for one in answers if one is not None]


def of_100(share: float) -> str:
    """`94 of 100`; what is not quite none or all is not said to be so."""
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return "more than 99 of 100"
    if rounded == 0 and share > 0:
        return "fewer than 1 of 100"
    return f"{rounded} of 100"


def _right(facts: ReportFacts) -> Sentence:
    topic = "How often is it right?"
    _, place, scores = best_scores(facts)
    accuracy, n_cells = scores.get("accuracy"), scores["n_cells"]
    if accuracy is None or n_cells < FEWEST_CELLS:
        few = f"Only {count(n_cells, 'cell')} were held out" if n_cells else "No cells were held out"
        return Sentence(topic, "How often it is right is not known.", f"{few}.", place or "metrics", is_known=False)
    cells, detail = _whose(facts, place, n_cells)
    more = _spread_of(facts, place)
    return Sentence(topic, f"Right for {of_100(accuracy)} cells {cells}.", " ".join([detail, *more]), place)


def _whose(facts: ReportFacts, place: str, n_cells: int) -> tuple[str, str]:
    """Which cells the model was tried on, as the end of a sentence, and how many they were."""
    manifest, evaluation = facts.manifest, facts.manifest.evaluation
    n = count(n_cells, "cell")
    if place == "metrics.test":
        donors = manifest.split.test.donors or []
        if manifest.split.strategy == "donor" and donors:
            who = "a donor" if len(donors) == 1 else f"{len(donors)} donors"
            return f"of {who} it had never seen", f"{n} of {listed(donors, 4)}."
        return "it had not learned from", f"{n}, of the same samples as those that it learned from."
    if evaluation is not None and place == "evaluation":
        rounds = f"{n} in {evaluation.n_folds} rounds of cross-validation"
        if evaluation.folds == "donors":
            return "of donors it had never seen", f"{rounds}, each without some of the donors."
        return "it had not learned from", f"{rounds}, of the same samples as those that it learned from."
    return "that decided when its training stopped", f"{n}. This number is too good: no others were held out."


def _spread_of(facts: ReportFacts, place: str) -> list[str]:
    """The interval, the range over donors, and the simple rival on the same cells."""
    evaluation = facts.manifest.evaluation
    if evaluation is None or place not in ("evaluation", "metrics.test"):
        return []
    part = "test_" if place == "metrics.test" else ""
    estimate, found = getattr(evaluation, f"{part}accuracy"), []
    if estimate is not None and estimate.low is not None and estimate.high is not None:
        over = f", over {estimate.over}" if estimate.over else ""
        low, high = f"{100 * estimate.low:.0f}", f"{100 * estimate.high:.0f}"
        found.append(f"95 % interval: {low if low == high else f'{low} to {high}'} of 100{over}.")
    of_donors = [fold.accuracy for fold in evaluation.per_fold if fold.n_cells >= FEWEST_CELLS]
    if place == "evaluation" and evaluation.folds == "donors" and len(of_donors) > 1:
        low, high = f"{100 * min(of_donors):.0f}", f"{100 * max(of_donors):.0f}"
        found.append(f"By donor: {low if low == high else f'{low} to {high}'} of 100.")
    baseline = getattr(evaluation, f"{part}baseline_accuracy")
    if baseline is not None:
        found.append(f"Logistic regression on the same cells and genes: {of_100(baseline.value)}.")
    return found


def _error(facts: ReportFacts) -> Sentence:
    topic = "What does it get wrong?"
    names, (_, place, scores) = facts.manifest.cell_type_names, best_scores(facts)
    source = f"{place}.confusion"
    if len(scores["confusion"]) != len(names) or scores["n_cells"] < FEWEST_CELLS:
        return Sentence(topic, "Its errors are not known.", "Too few cells were held out.", source, is_known=False)
    pairs, sizes, n_wrong = frequent_errors(scores["confusion"])
    of_all = f"{n_wrong:,} of {count(int(sizes.sum()), 'call')} were wrong"
    if n_wrong == 0:
        return Sentence(topic, "No call was wrong.", f"{count(int(sizes.sum()), 'cell')}.", source)
    first, *others = [
        f"{names[label]} called {names[called]}, {n:,} of {sizes[label]:,}"
        for n, label, called in pairs
        if n >= FEW_ERRORS
    ] or [""]
    if not first:
        few = f"no type was called one other in {FEW_ERRORS} cells or more"
        return Sentence(topic, "No error is frequent.", f"{of_all}; {few}.", source)
    then = f" Then: {'; '.join(others[:2])}." if others else ""
    return Sentence(topic, f"Most frequent error: {first}.", f"{of_all}.{then}", source)


def frequent_errors(confusion: list[list[int]]) -> tuple[list[tuple[int, int, int]], np.ndarray, int]:
    """Cells, label and call of each error, the most frequent first; the cells of each label; how many are wrong."""
    counts = np.array(confusion, dtype=int)
    wrong = counts - np.diag(np.diag(counts))
    pairs = [(int(wrong[row, column]), int(row), int(column)) for row, column in zip(*np.nonzero(wrong), strict=True)]
    return sorted(pairs, key=lambda one: (-one[0], one[1:])), counts.sum(axis=1), int(wrong.sum())


def _hardest(types: list[TypeEvidence]) -> Sentence | None:
    """The type with the lowest recall, of those that enough cells tell of; None where there are no two of them."""
    judged = [one for one in types if one.tested and one.tested["support"] >= FEW_TESTED]
    if len(judged) < 2:
        return None
    worst = min(judged, key=lambda one: one.tested["recall"] if one.tested else 1.0)
    assert worst.tested is not None  # noqa: S101
    n, recall = worst.tested["support"], worst.tested["recall"]
    found = f"{round(recall * n):,} of {count(n, 'cell')}"
    wrong = [one for one in worst.confused_with[:2] if one[1] >= 0.01]
    others = "; ".join(f"{percent(share, 0)} are called {name}" for name, share in wrong)
    detail = f"{worst.tested_on[:1].upper()}{worst.tested_on[1:]}. Of {count(len(judged), 'type')} that were tested on "
    detail += f"{FEW_TESTED} cells or more."
    said = f"Found least often: {worst.name}, {found}."
    return Sentence("Which type is hardest?", said, f"{others}. {detail}" if others else detail, worst.source)


def _cannot_be_judged(types: list[TypeEvidence]) -> Sentence:
    topic = "What is not known?"
    tested = {one.name: one.tested["support"] if one.tested else 0 for one in types}
    source = ", ".join(dict.fromkeys(one.source for one in types if one.source)) or "metrics"
    none = [f"{name} ({count(n, 'cell') if n else 'no cell'} tested)" for name, n in tested.items()
            if n < FEW_FOR_A_SCORE]  # fmt: skip
    few = [f"{name} ({n})" for name, n in tested.items() if FEW_FOR_A_SCORE <= n < FEW_TESTED]
    care = f" Judge with care, on fewer than {FEW_TESTED}: {listed(few)}." if few else ""
    if not none:
        said = f"Every type was tested on at least {min(tested.values()):,} cells."
        return Sentence(topic, said, care.strip(), source)
    why = f"With fewer than {FEW_FOR_A_SCORE} tested cells, one or two calls would decide a type's numbers."
    return Sentence(topic, f"Cannot be judged: {listed(none, 4)}.", why + care, source, is_known=False)


def _unknown(facts: ReportFacts) -> Sentence:
    topic, entry, source = "What of types that it does not know?", facts.manifest.novelty, "novelty"
    if entry is None:
        said = "Every cell gets one of its types, also a cell of a type that it has never seen."
        return Sentence(topic, said, "It does not measure how novel a cell is.", source, is_known=False)
    cells = entry.left_out_cells()
    rate = entry.false_refusal_rate if entry.test_refusal_rate is None else entry.test_refusal_rate
    known = f"Of cells whose type it knows, {percent(rate)} stay unassigned as well."
    if cells is None or cells.n < FEWEST_CELLS:
        few = "" if cells is None else f" It was tried on {count(cells.n, 'cell')} only."
        said = "How many cells of unknown types it recognises is not known."
        return Sentence(topic, said, f"{known}{few}", source, is_known=False)
    left_out = list(dict.fromkeys(row.cell_type for row in entry.left_out))
    return Sentence(
        topic,
        f"Of 100 cells of types it had not learned, {round(100 * cells.refused / cells.n)} stayed unassigned.",
        f"{cells.refused:,} of {count(cells.n, 'cell')} of {listed(left_out, 4)}, left out of training to try it; the "
        f"others got the name of a type that it knows. {known}",
        "novelty.left_out",
    )


def _confidence(facts: ReportFacts) -> Sentence:
    topic, entry = "Can its confidence be believed?", facts.manifest.calibration
    _, place, _ = best_scores(facts)
    score = None if entry is None else entry.calibrated
    source = "calibration.calibrated"
    if entry is not None and place == "metrics.test" and entry.test_calibrated is not None:
        score, source = entry.test_calibrated, "calibration.test_calibrated"
    if score is None or score.n_cells < FEWEST_CELLS:
        said = "Whether its confidence can be believed is not known."
        return Sentence(topic, said, "Compare confidences; do not read them as error rates.", source, is_known=False)
    error = 100 * score.expected_calibration_error
    return Sentence(
        topic,
        f"Its confidence is {error:.1f} points off, on average.",
        f"Of calls with 90{NO_BREAK}% confidence, 90 of 100 should be right. {count(score.n_cells, 'held-out cell')}.",
        source,
    )


def _depth(facts: ReportFacts) -> Sentence:
    topic, evaluation = "What of shallow sequencing?", facts.manifest.evaluation
    points = {} if evaluation is None else {point.share_of_counts: point for point in evaluation.depth}
    n_cells = 0 if evaluation is None else _tried_on(facts, evaluation.evaluated_on)
    if 0.25 not in points or n_cells < FEWEST_CELLS:
        said = "What it makes of shallow sequencing is not known."
        return Sentence(topic, said, "No counts were removed to try it.", "evaluation.depth", is_known=False)
    full = f"; with all of their counts, {of_100(points[1.0].accuracy)}" if 1.0 in points else ""
    return Sentence(
        topic,
        f"With a quarter of the counts, right for {of_100(points[0.25].accuracy)} cells.",
        f"{count(n_cells, 'held-out cell')}, three quarters of their counts removed by chance{full}.",
        "evaluation.depth",
    )


def _tried_on(facts: ReportFacts, part: str) -> int:
    if part == "test":
        return int((facts.manifest.metrics.get("test") or {}).get("n_cells", 0))
    return 0 if facts.manifest.evaluation is None else facts.manifest.evaluation.n_cells
