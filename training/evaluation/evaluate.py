"""Measures of calls against labels, per part and type, flat for trackers, and their 95 % intervals.

Intervals come from counts of (label, call) pairs alone.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

LONGEST_NAME = 200


def flat_metrics(metrics: Mapping[str, Any]) -> dict[str, float]:
    """`test/accuracy`, `test/macro_f1`, `test/n_cells` and `test/f1/B cell`, likewise of the other parts.

    `metrics`: the manifest's, by part. What was not measured is left out.
    """
    flat: dict[str, float] = {}
    for part, measured in metrics.items():
        for name in ("accuracy", "macro_f1", "n_cells", "n_unknown_cells", "n_genes_missing"):
            if measured.get(name) is not None:
                flat[f"{part}/{name}"] = float(measured[name])
        per_type = measured.get("per_type", {})
        for name, row in zip(metric_names(list(per_type)), per_type.values(), strict=True):
            flat[f"{part}/f1/{name}"] = row["f1"]
    return flat


def metric_names(names: Sequence[str]) -> list[str]:
    """Names that MLflow takes, still all different: letters, digits, spaces and `_-.:`, in the order given."""
    taken: dict[str, int] = {}
    clean = []
    for name in names:
        # Only "+" is common enough in names of cell types to be spelt out: CD4+ and CD4- must not look alike.
        short = re.sub(r"[^\w\-. :]", "_", name.replace("+", "pos")).strip(". ")[:LONGEST_NAME] or "_"
        taken[short] = taken.get(short, 0) + 1
        clean.append(short if taken[short] == 1 else f"{short} {taken[short]}")
    return clean


def per_type_frame(metrics: Mapping[str, Any]) -> pd.DataFrame:
    """One row per part and cell type: precision, recall, F1 and support."""
    rows = [
        {"part": part, "cell_type": name, **row}
        for part, measured in metrics.items()
        for name, row in measured.get("per_type", {}).items()
    ]
    return pd.DataFrame(rows, columns=["part", "cell_type", "precision", "recall", "f1", "support"])


def evaluate(labels: np.ndarray, calls: np.ndarray, cell_types: Sequence[str]) -> dict[str, Any]:
    """Accuracy, macro-F1 and per type precision, recall, F1 and support, and the confusion matrix.

    `labels`, `calls`: int [cells], numbers of `cell_types`; a label of -1 is a type that the model does not know. Such
    cells are counted as `n_unknown_cells` and enter nothing else. Types without labelled cells enter neither the
    macro-F1 nor the table. Confusion: rows are labels, columns are calls, in the order of `cell_types`.
    """
    known = labels >= 0
    labels, calls = labels[known], calls[known]
    numbers = np.arange(len(cell_types))
    if len(labels) == 0:
        return {
            "n_cells": 0,
            "n_unknown_cells": int((~known).sum()),
            "accuracy": None,
            "macro_f1": None,
            "per_type": {},
            "confusion": [],
        }
    precision, recall, f1, support = precision_recall_fscore_support(labels, calls, labels=numbers, zero_division=0.0)
    present = support > 0
    return {
        "n_cells": len(labels),
        "n_unknown_cells": int((~known).sum()),
        "accuracy": float((labels == calls).mean()),
        "macro_f1": float(f1[present].mean()),
        "per_type": {
            name: {
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
                "support": int(support[number]),
            }
            for number, name in enumerate(cell_types)
            if present[number]
        },
        "confusion": confusion_matrix(labels, calls, labels=numbers).tolist(),
    }


RESAMPLES = 1_000
MIN_DONORS = 5
"""With fewer donors than this cells are resampled: an interval over two or three donors says nothing."""


class Interval(NamedTuple):
    """An estimate with its 95 % interval, both ends None where there is nothing to resample."""

    value: float
    low: float | None
    high: float | None
    over: Literal["donors", "cells"] | None


def confusion(labels: np.ndarray, calls: np.ndarray, n_types: int) -> np.ndarray:
    """Cells by label (rows) and call (columns), int, types x types. `labels`, `calls`: int [cells], from 0."""
    return np.bincount(labels * n_types + calls, minlength=n_types**2).reshape(n_types, n_types)


def accuracy_of(confusions: np.ndarray) -> np.ndarray:
    """Accuracy of each confusion matrix, [...]. `confusions`: [..., types, types]."""
    right = np.trace(confusions, axis1=-2, axis2=-1)
    return np.asarray(right / np.maximum(confusions.sum(axis=(-2, -1)), 1))


def macro_f1_of(confusions: np.ndarray) -> np.ndarray:
    """Mean F1 over types that have labelled cells, [...], as `evaluate` has it. `confusions`: [..., types, types]."""
    right = np.diagonal(confusions, axis1=-2, axis2=-1)
    labelled, called = confusions.sum(axis=-1), confusions.sum(axis=-2)
    present = labelled > 0
    f1 = 2 * right / np.maximum(labelled + called, 1)
    return np.asarray((f1 * present).sum(axis=-1) / np.maximum(present.sum(axis=-1), 1))


def intervals(
    labels: np.ndarray, calls: np.ndarray, n_types: int, *, donors: np.ndarray | None = None, seed: int
) -> tuple[Interval, Interval]:
    """Accuracy and macro-F1 with percentile intervals of `RESAMPLES` resamples.

    `labels`, `calls`: int [cells]. `donors`: [cells]; with at least `MIN_DONORS` of them whole donors are drawn,
    otherwise cells. Drawing cells with replacement is drawing their (label, call) pairs from a multinomial, so that
    resamples cost as much for a million cells as for a hundred. A type that a resample lacks does not enter its
    macro-F1.

    Where no call is wrong every resample is like the whole and would say that none ever will be. The accuracy then has
    the exact interval of cells (Clopper and Pearson 1934), 0.025^(1 / cells) to 1, and macro-F1 has none.
    """
    generator = np.random.default_rng(seed)
    whole = confusion(labels, calls, n_types)
    drawn: np.ndarray
    names = np.unique(donors if donors is not None else np.zeros(0, dtype=str))
    over: Literal["donors", "cells"]
    if donors is not None and len(names) >= MIN_DONORS:
        of_donor = np.stack([confusion(labels[donors == name], calls[donors == name], n_types) for name in names])
        times = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), RESAMPLES)
        drawn, over = np.tensordot(times, of_donor, axes=1), "donors"
    else:
        pairs = np.flatnonzero(whole)
        drawn, over = np.zeros((RESAMPLES, n_types**2), dtype=np.int64), "cells"
        if len(labels):
            drawn[:, pairs] = generator.multinomial(len(labels), whole.ravel()[pairs] / len(labels), RESAMPLES)
        drawn = drawn.reshape(RESAMPLES, n_types, n_types)
    if len(labels) and (labels == calls).all():
        return Interval(1.0, float(0.025 ** (1 / len(labels))), 1.0, "cells"), Interval(1.0, None, None, None)
    found = []
    for measure in (accuracy_of, macro_f1_of):
        value = float(measure(whole))
        if len(labels) == 0:
            found.append(Interval(value, None, None, None))
            continue
        low, high = map(float, np.quantile(measure(drawn), [0.025, 0.975]))
        found.append(Interval(value, low, high, over))
    return found[0], found[1]
