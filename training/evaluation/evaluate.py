"""How well calls agree with labels, from numbers of types alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support


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
        return {"n_cells": 0, "n_unknown_cells": int((~known).sum()), "accuracy": None, "macro_f1": None,
                "per_type": {}, "confusion": []}  # fmt: skip
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
