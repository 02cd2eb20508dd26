"""The confusion matrices of the report, each with its errors as a list: by type, and the most frequent ones."""

from typing import Any

from . import tables
from .facts import ReportFacts
from .first_screen import frequent_errors

MOST_ERRORS, MOST_CALLS = 12, 4
"""Errors in the list beside a matrix; other calls of one type that are named."""
FEWEST_OF_A_LABEL = 10
"""Cells of a label below which its right calls are counted and no share is made of them."""


def confusion_views(facts: ReportFacts) -> list[dict[str, Any]]:
    """For each set of cells that the model was tried on: the matrix, the same as a list, and the frequent errors."""
    names, found = facts.manifest.cell_type_names, []
    evaluation = facts.manifest.evaluation
    if evaluation is not None and evaluation.confusion:
        judged = evaluation.judged
        if judged is not None and judged.confusion:  # what a fold could not learn says nothing of the model
            found.append(
                ("cross-validated, types that the fold had learned", "evaluation.judged.confusion", judged.confusion)
            )
        else:
            found.append(("cross-validated", "evaluation.confusion", evaluation.confusion))
    for part in ("test", "independent", "validation"):
        confusion = (facts.manifest.metrics.get(part) or {}).get("confusion")
        if confusion:
            found.append((part, f"metrics.{part}.confusion", confusion))
    found = [one for one in found if len(one[2]) == len(names)]
    if len(found) > 1:  # validation cells chose the settings: shown where there is nothing better
        found = [one for one in found if one[0] != "validation"]
    return [
        {
            "part": part,
            "source": source,
            "chart": tables.confusion_chart(confusion, names, part=part),
            **_as_lists(confusion, names),
        }
        for part, source, confusion in found
    ]


def _as_lists(confusion: list[list[int]], names: list[str]) -> dict[str, Any]:
    pairs, sizes, n_wrong = frequent_errors(confusion)
    errors = [
        {"label": names[label], "number": label + 1, "called": names[called], "n": n, "of": int(sizes[label])}
        for n, label, called in pairs[:MOST_ERRORS]
        if n > 1  # a single call is no pattern
    ]
    by_type = []
    for label, name in enumerate(names):
        calls = [(names[called], n) for n, of_label, called in pairs if of_label == label]
        size, right = int(sizes[label]), int(confusion[label][label])
        if size:
            by_type.append(
                {
                    "name": name,
                    "number": label + 1,
                    "n": size,
                    "right": right,
                    "share": right / size if size >= FEWEST_OF_A_LABEL else None,
                    "calls": calls[:MOST_CALLS],
                    "others": sum(n for _, n in calls[MOST_CALLS:]),
                }
            )
    by_type.sort(key=lambda one: (one["share"] is None, one["share"] or 0.0))
    return {
        "errors": errors,
        "n_wrong": n_wrong,
        "n": int(sizes.sum()),
        "n_pairs": len(pairs),
        "by_type": by_type,
    }
