"""A trained network as plain arrays: standardisation, gate and BatchNorm folded into the linear layers beside them."""

import re
from dataclasses import dataclass

import numpy as np
from torch import nn

from .classifier import Classifier


@dataclass(frozen=True)
class FoldedNetwork:
    """Linear layers with ReLU between them. `weights`: float32 [units out, units in]; `biases`: float32 [units out].

    The first layer takes ln(1 + counts per 10,000); the last gives logits.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]

    @property
    def n_genes(self) -> int:
        return int(self.weights[0].shape[1])

    @property
    def n_types(self) -> int:
        return int(self.weights[-1].shape[0])

    @property
    def embedding_size(self) -> int:
        return int(self.weights[-1].shape[1])

    @property
    def hidden_units(self) -> list[int]:
        return [int(weight.shape[0]) for weight in self.weights[:-1]]

    def forward(self, x: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
        """Pre-activations of each hidden layer and the logits, in the dtype of `x`: [cells, genes]."""
        pre_activations = []
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            z = x @ weight.T.astype(x.dtype) + bias.astype(x.dtype)
            pre_activations.append(z)
            x = np.maximum(z, 0)
        return pre_activations, x @ self.weights[-1].T.astype(x.dtype) + self.biases[-1].astype(x.dtype)


def fold_layers(layers: nn.Sequential) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Weights and biases in float64 after folding each BatchNorm (evaluation mode) into the linear layer before it.

    Raises `TypeError` on layers other than (linear, BatchNorm or none, ReLU, dropout or none) again and again, and a
    last linear one: folded, they would answer differently without a word.
    """
    weights: list[np.ndarray] = []
    biases: list[np.ndarray] = []
    kinds = [type(layer).__name__ for layer in layers if not isinstance(layer, nn.Dropout)]
    if not re.fullmatch("(Linear (BatchNorm1d )?ReLU )*Linear ", "".join(f"{kind} " for kind in kinds)):
        raise TypeError(f"cannot fold the layers {', '.join(kinds)}")
    for layer in layers:
        if isinstance(layer, nn.Linear):
            weights.append(_array(layer.weight))
            biases.append(_array(layer.bias))
        elif isinstance(layer, nn.BatchNorm1d):
            factor = _array(layer.weight) / np.sqrt(_array(layer.running_var) + layer.eps)
            weights[-1] = weights[-1] * factor[:, None]
            biases[-1] = (biases[-1] - _array(layer.running_mean)) * factor + _array(layer.bias)
    return weights, biases


def fold(classifier: Classifier) -> FoldedNetwork:
    """The classifier in evaluation mode, as arrays: same logits, with nothing left but linear layers and ReLU."""
    weights, biases = fold_layers(classifier.layers)
    mean, scale = _array(classifier.mean), _array(classifier.scale)
    if classifier.gate is not None:
        weights[0] = weights[0] * _array(classifier.gate)[None, :]
    biases[0] = biases[0] - weights[0] @ (mean / scale)
    weights[0] = weights[0] / scale[None, :]
    return FoldedNetwork(
        tuple(weight.astype(np.float32) for weight in weights), tuple(bias.astype(np.float32) for bias in biases)
    )


def _array(tensor: object) -> np.ndarray:
    values: np.ndarray = tensor.detach().cpu().numpy().astype(np.float64)  # type: ignore[attr-defined]
    return values
