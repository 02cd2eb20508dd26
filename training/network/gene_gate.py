"""The learned gene gate as a second, global importance of each gene."""

from collections.abc import Sequence

import numpy as np

from .classifier import Classifier


def mean_gate(classifiers: Sequence[Classifier]) -> np.ndarray | None:
    """Mean weight of each gene over members that learned a gate, [genes]; None where none did."""
    gates = [gate for classifier in classifiers if (gate := classifier.gate_values()) is not None]
    return np.mean(gates, axis=0) if gates else None
