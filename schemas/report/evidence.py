"""Per cell type: what was measured, and where the evidence for it is thin."""

from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from .facts import ReportFacts, count, listed, percent

FEW_CELLS = 50
FEW_TESTED = 20
LOW_RECALL = 0.8
WEAK_AUC = 0.8
UNSTABLE = 0.5
TOP = 5
MANY_DOUBTS, MOST_DOUBTS = 5, 0.05
"""From so many cells of a type, and this share of them, on its labels are said to be doubtful."""
FEW_FOR_A_SCORE = 10
"""With fewer tested cells of a type than this, a call or two decide its F1, and so move a mean over types."""


@dataclass(frozen=True)
class TypeEvidence:
    """`tested`: scores of the part or folds that the report takes for this type, None where it was in none;
    `tested_on`: which these are, in words, and `source`, where in the manifest. `thin`: reasons, each a short word and
    a sentence.
    """

    name: str
    number: int
    ontology_id: str | None
    ontology_name: str | None
    n_cells: int
    n_training: int
    n_donors: int | None
    tested: dict[str, Any] | None
    tested_on: str
    source: str
    markers: pd.DataFrame
    negative: pd.DataFrame
    confused_with: list[tuple[str, float]]
    thin: list[tuple[str, str]] = field(default_factory=list)

    @property
    def scored(self) -> dict[str, Any] | None:
        """`tested` where it is of enough cells for a score."""
        return self.tested if self.tested and self.tested["support"] >= FEW_FOR_A_SCORE else None


NOT_MEASURED_OF_IMPORTED = (
    "The model was imported from {tool}: how often its calls are right was not measured, its confidence is not "
    "calibrated, and a cell of a type that it has never seen gets one of its types."
)

Scores = tuple[str, str, dict[str, Any]]
"""Scores of some cells: which cells, in words; their place in the manifest; and what `evaluate` gave."""


def best_scores(facts: ReportFacts) -> Scores:
    """The scores of the model as a whole.

    Folds before the test part, as every cell is held out once in them; the test part where folds could not learn every
    type, as it says more of the registered model then; validation cells where there is nothing else.
    """
    evaluation = facts.manifest.evaluation
    folds = [] if evaluation is None or not evaluation.per_type else [_of_folds(facts)]
    test, validation = _of_part(facts, "test"), _of_part(facts, "validation")
    hard = evaluation is not None and bool(evaluation.hardly_learned)
    found = [*test, *folds] if hard else [*folds, *test]
    return next(iter([*found, *validation]), ("", "", {"per_type": {}, "confusion": [], "n_cells": 0}))


def scores_of_type(facts: ReportFacts, name: str) -> Scores:
    """The scores that tell most of one type, the model's as a whole where folds could learn all types.

    Otherwise a fold that did not learn a type calls its cells something else, which says nothing of the registered
    model, neither of this type nor of those that they are called. Only cells whose type was learned count then, or the
    test part where it has more cells of the type.
    """
    evaluation = facts.manifest.evaluation
    if evaluation is None or not evaluation.hardly_learned:
        return best_scores(facts)
    found = _of_part(facts, "test")
    if evaluation.judged is not None:
        words, _, _ = _of_folds(facts)
        found.insert(0, (words, "evaluation.judged", evaluation.judged.model_dump()))
    return max(found or [best_scores(facts)], key=lambda one: one[2]["per_type"].get(name, {}).get("support", 0))


def _of_folds(facts: ReportFacts) -> Scores:
    evaluation = facts.manifest.evaluation
    assert evaluation is not None  # noqa: S101
    what = {name: getattr(evaluation, name) for name in ("n_cells", "per_type", "confusion")}
    what |= {"accuracy": evaluation.accuracy.value, "macro_f1": evaluation.macro_f1.value}
    of = "cells of left-out donors" if evaluation.folds == "donors" else "left-out cells"
    return f"{of}, all folds together", "evaluation", what


def _of_part(facts: ReportFacts, part: str) -> list[Scores]:
    measured = facts.manifest.metrics.get(part, {})
    return [(f"{part} cells", f"metrics.{part}", measured)] if measured.get("per_type") else []


def evidence_of(facts: ReportFacts) -> list[TypeEvidence]:
    """One entry for each cell type, in the model's order."""
    names = facts.manifest.cell_type_names
    by_type = {str(name): rows for name, rows in facts.markers.groupby("cell_type", observed=True)}
    found = []
    for place, entry in enumerate(facts.manifest.cell_types):
        rows = by_type.get(entry.name, facts.markers.iloc[:0])
        ranked = rows[rows["rank"].notna() & (rows["direction"] != "negative").fillna(True)].sort_values("rank")
        lacking = rows.iloc[:0]
        if "negative_rank" in rows:
            lacking = rows[rows["negative_rank"].notna()].sort_values("negative_rank")
        words, source, scores = scores_of_type(facts, entry.name)
        tested = scores["per_type"].get(entry.name)
        donors = facts.training.cells.get(entry.name, {}) if facts.training is not None else {}
        evidence = TypeEvidence(
            entry.name,
            place + 1,
            entry.ontology_id,
            entry.ontology_name,
            facts.manifest.training_data.cells_per_type.get(entry.name, 0),
            facts.manifest.learned_cells.get(entry.name, 0),
            sum(n > 0 for n in donors.values()) if donors and list(donors) != [""] else None,
            tested,
            words if tested else "",
            f"{source}.per_type" if tested else "",
            ranked,
            lacking,
            _confused(scores["confusion"], names, place),
        )
        if (imported := facts.manifest.imported) is not None:  # how many cells it learned from is not known
            evidence.thin.append(("not measured", NOT_MEASURED_OF_IMPORTED.format(tool=imported.tool)))
            found.append(evidence)
            continue
        evidence.thin.extend(thin_reasons(evidence, n_calls=_calls_of(scores["confusion"], names, place)))
        evidence.thin.extend(_doubts_elsewhere(facts, entry.name, place, source))
        evidence.thin.extend(_doubtful_labels(facts, entry.name))
        found.append(evidence)
    return found


def _confused(confusion: list[list[int]], names: list[str], place: int) -> list[tuple[str, float]]:
    """The types that cells of this one are most often called instead, with the share of its cells."""
    if len(confusion) != len(names):
        return []
    row = confusion[place]
    wrong = sorted(((n, other) for other, n in enumerate(row) if n and other != place), key=lambda x: (-x[0], x[1]))
    return [(names[other], n / sum(row)) for n, other in wrong[:3]]


def thin_reasons(evidence: TypeEvidence, *, n_calls: int | None = None) -> list[tuple[str, str]]:
    """Why this type is to be taken with care; empty where nothing speaks against it. `n_calls`: of this type."""
    reasons = []
    if evidence.n_training < FEW_CELLS:
        reasons.append(
            (
                "few cells",
                f"Learned from {count(evidence.n_training, 'cell')}; below {FEW_CELLS} a type's "
                "spread is hardly known.",
            )
        )
    if evidence.n_donors == 1:
        reasons.append(("one donor", "All its cells come from one donor: nothing is known of other people."))
    tested, tested_on = evidence.tested, evidence.tested_on
    if tested is None:
        reasons.append(("not tested", "None of its cells were among those that the model was tested on."))
    else:
        if tested["support"] < FEW_TESTED:
            reasons.append(("few tested", f"Tested on {count(tested['support'], 'cell')} only ({tested_on})."))
        reasons += _wrong_calls(tested, tested_on, evidence.confused_with, n_calls)
    best = evidence.markers.head(TOP)
    auc, stability = best["auc"].max(), best["stability"].dropna().median()
    if pd.notna(auc) and auc < WEAK_AUC:
        reasons.append(("weak markers", f"No single gene tells it from the rest (best AUC {auc:.2f})."))
    if pd.notna(stability) and stability < UNSTABLE:
        reasons.append(
            (
                "unstable markers",
                f"Its best markers change when cells or donors are drawn anew (median stability {stability:.2f}).",
            )
        )
    return reasons


def _calls_of(confusion: list[list[int]], names: list[str], place: int) -> int | None:
    """How many tested cells are called this type; None where it is not known."""
    return sum(row[place] for row in confusion) if len(confusion) == len(names) else None


def _wrong_calls(
    tested: dict[str, Any], on: str, confused: list[tuple[str, float]], n_calls: int | None
) -> list[tuple[str, str]]:
    """Recall and precision that are low; nothing of what fewer than `FEW_FOR_A_SCORE` cells or calls tell."""
    reasons = []
    if tested["recall"] < LOW_RECALL and tested["support"] >= FEW_FOR_A_SCORE:
        instead = listed([f"{name} ({percent(share, 0)})" for name, share in confused])
        more = f"; the others are called {instead}" if instead else ""
        reasons.append(("low recall", f"Found in {percent(tested['recall'])} of its cells ({on}){more}."))
    calls = tested["support"] if n_calls is None else n_calls
    if tested["precision"] < LOW_RECALL and calls >= FEW_FOR_A_SCORE:
        of = "the" if n_calls is None else f"the {n_calls:,}"
        reasons.append(
            ("low precision", f"{percent(tested['precision'])} of {of} calls of this type are right ({on}).")
        )
    return reasons


def _doubts_elsewhere(facts: ReportFacts, name: str, place: int, source: str) -> list[tuple[str, str]]:
    """Low recall and precision on test cells and on the independent file, where the type's scores are of other cells.

    `source`: where those scores stand in the manifest. A file whose labels were mapped has types of its own.
    """
    reasons = []
    for part in ("test", "independent"):
        for words, where, scores in _of_part(facts, part):
            tested = scores["per_type"].get(name)
            if tested is None or where == source or scores.get("label_map"):
                continue
            names = facts.manifest.cell_type_names
            confused = _confused(scores["confusion"], names, place)
            n_calls = _calls_of(scores["confusion"], names, place)
            on = count(tested["support"], words.removesuffix("s"))
            found = _wrong_calls(tested, on, confused, n_calls)
            reasons += [(f"{word} on {words}", reason) for word, reason in found]
    return reasons


def _doubtful_labels(facts: ReportFacts, name: str) -> list[tuple[str, str]]:
    """That more than a few of a type's labels are contradicted."""
    evaluation = facts.manifest.evaluation
    audit = None if evaluation is None else evaluation.label_audit
    pairs = [] if audit is None else [pair for pair in audit.pairs if pair.label == name]
    n_doubtful = sum(pair.n_doubtful for pair in pairs)
    if n_doubtful < MANY_DOUBTS or n_doubtful < MOST_DOUBTS * pairs[0].n_cells:
        return []
    called = listed([f"{pair.called} ({pair.n_doubtful})" for pair in pairs], most=3)
    return [
        (
            "doubtful labels",
            f"Calls and markers contradict {n_doubtful:,} of its {pairs[0].n_cells:,} labels: called {called}.",
        )
    ]


def resting_on_few(per_type: dict[str, Any]) -> str:
    """In words, of which types a mean over types rests on fewer than `FEW_FOR_A_SCORE` cells; empty where of none."""
    few = [f"{name} ({row['support']})" for name, row in per_type.items() if row["support"] < FEW_FOR_A_SCORE]
    return f"rests on fewer than {FEW_FOR_A_SCORE} cells of {listed(few, 4)}" if few else ""
