"""Probabilities made flatter, by which label sets are drawn."""

import numpy as np


def flattened(probabilities: np.ndarray, flattening: float) -> np.ndarray:
    """Probabilities to the power of 1 / `flattening`, each cell's with sum 1: the softmax at that many times the
    temperature. `probabilities`: cells x types; 1 leaves them as they are.
    """
    if flattening == 1:
        return probabilities
    powers = probabilities ** probabilities.dtype.type(1 / flattening)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
