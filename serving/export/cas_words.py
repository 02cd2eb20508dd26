"""Rationales in plain words: each number with what it counts, whole sentences, at most as long as the schema allows."""

from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, CONFIDENCE
from cellmark.schemas.report.evidence import TypeEvidence
from cellmark.schemas.report.facts import count, percent

from .explained_calls import TypeReasons

LONGEST = 2000
"""Characters of a rationale in the Cell Annotation Schema."""
NAMED = 5
"""Types or genes that a sentence names."""


def joined(sentences: Iterable[str | None]) -> str:
    """As many whole sentences as fit, in their order."""
    text = ""
    for sentence in sentences:
        longer = f"{text} {sentence}".strip()
        if sentence and len(longer) <= LONGEST:
            text = longer
    return text


def calls_sentence(n_cells: int, n_all: int, name: str, model: str) -> str:
    """`412 of 2,638 cells (15.6 %) are called B cell by cellmark's model pbmc.`."""
    verb = "is" if n_cells == 1 else "are"
    return f"{n_cells:,} of {n_all:,} cells ({percent(n_cells / n_all)}) {verb} called {name} by {model}."


def unassigned_sentences(calls: pd.DataFrame, n_all: int, model: str) -> list[str]:
    """What is said of cells that the model leaves unassigned. `calls`: their calls."""
    n_cells = len(calls)
    verb, their = ("is", "its") if n_cells == 1 else ("are", "their")
    return [
        f"{n_cells:,} of {n_all:,} cells ({percent(n_cells / n_all)}) {verb} unlike all types that {model} learned: "
        f"{their} novelty is above the threshold, and no type is named.",
        f"Most like: {_counts(calls[BEST_CELL_TYPE])}.",
    ]


def confidence_sentence(confidence: pd.Series) -> str:
    low, middle, high = confidence.quantile([0.25, 0.5, 0.75])
    if len(confidence) == 1:
        return f"The probability of the call is {middle:.3f}."
    spread = f"; half of the cells have {low:.3f} to {high:.3f}" if f"{low:.3f}" != f"{high:.3f}" else ""
    return f"The median probability of the call is {middle:.3f}{spread}."


def tested_sentence(evidence: TypeEvidence) -> str | None:
    """How often the model was right about the type before; None where that was not measured."""
    scores = evidence.tested
    if not scores or not scores.get("support"):
        return None
    n_cells = scores["support"]
    return (
        f"Of {count(n_cells, 'cell')} labelled {evidence.name} that the model was tested on ({evidence.tested_on}) it "
        f"called {percent(scores['recall'])} so; {percent(scores['precision'])} of its calls of this type were right."
    )


def markers_sentence(markers: pd.DataFrame, name: str) -> str | None:
    """`markers`: rows of the marker table, with `named`, what the gene is called in the cells' matrix."""
    if markers.empty:
        return None
    if not markers["fraction_in"].notna().all():
        return f"Markers of {name}, the best first: {', '.join(markers['named'])}."
    listed = [
        f"{row['named']} ({percent(row['fraction_in'])} and {percent(row['fraction_out'])}"
        + (f", log2 fold change {row['log2_fold_change']:.1f})" if pd.notna(row["log2_fold_change"]) else ")")
        for _, row in markers.iterrows()
    ]
    return (
        f"Markers of {name}, with the share of its training cells that count the gene, and of all others: "
        f"{', '.join(listed)}."
    )


def not_measured_sentence(symbols: Sequence[str], name: str) -> str | None:
    """What is said of best markers that the files of these cells lack; None where they lack none."""
    if not symbols:
        return None
    return f"Not measured in these cells, though among the best markers of {name}: {', '.join(symbols)}."


def explained_sentences(found: TypeReasons | None, names: Mapping[str, str]) -> list[str]:
    """`names`: what genes are called in the cells' matrix."""
    if found is None:
        return []
    cells = f"the {found.n_cells:,} of these cells that were explained" if found.n_cells > 1 else "the cell explained"
    sentences = []
    for rows, begin in (
        (found.speaking("for", NAMED), f"Most often among the strongest genes of {cells}, and for the call"),
        (found.speaking("against", 3), "Among them, but against the call"),
    ):
        listed = [
            f"{names.get(str(symbol), str(symbol))} ({count(int(row['n_cells']), 'cell')}, mean attribution there "
            f"{row['mean']:+.2f})"
            for symbol, row in rows.iterrows()
        ]
        sentences += [f"{begin}: {', '.join(listed)}."] if listed else []
    return sentences


def care_sentences(evidence: TypeEvidence) -> list[str]:
    """Why the model's word on the type is to be taken with care."""
    return [f"{'With care: ' if not number else ''}{text}" for number, (_, text) in enumerate(evidence.thin)]


def cluster_sentences(calls: pd.DataFrame, cluster: str, column: str, model: str) -> list[str]:
    """What is said of the cells of one cluster."""
    return [
        f"Cluster {cluster} of {column} has {count(len(calls), 'cell')}. "
        f"{model[0].upper()}{model[1:]} calls them {_counts(calls[CELL_TYPE])}.",
        confidence_sentence(calls[CONFIDENCE]),
    ]


def _counts(names: pd.Series) -> str:
    """`B cell (30 cells, 75.0 %), NK cell (10 cells, 25.0 %)`, the most frequent first."""
    counted = names.value_counts()
    listed = [f"{name} ({count(int(n), 'cell')}, {percent(n / len(names))})" for name, n in counted.head(NAMED).items()]
    more = len(counted) - NAMED
    return ", ".join(listed) + (f" and {more} other {'type' if more == 1 else 'types'}" if more > 0 else "")
