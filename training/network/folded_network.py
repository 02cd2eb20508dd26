"""A trained network as plain arrays, and the embedding that is made of several.

Standardisation, gate and BatchNorm are folded into the linear layers beside them. The embedding is a PCA of the
members' last hidden layers, as one linear layer of the graph.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from sklearn.decomposition import PCA
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
        return int(self.weights[-1].shape[1]) if len(self.weights) > 1 else 0

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


SIZE = 32
N_CELLS = 10_000
CHUNK = 1024


def fit_embedding(
    members: Sequence[FoldedNetwork], x: sp.csr_matrix, *, size: int = SIZE
) -> tuple[np.ndarray, np.ndarray]:
    """Mean [units] and components [d, units] of the last hidden layers side by side, over training cells.

    `x`: CSR, training cells x genes, ln(1 + counts per 10,000); evenly spaced rows stand for more than `N_CELLS`. d is
    `size`, or less where cells or units are fewer.
    """
    rows = np.unique(np.linspace(0, x.shape[0] - 1, min(N_CELLS, x.shape[0])).astype(int))
    chunks = (rows[start : start + CHUNK] for start in range(0, len(rows), CHUNK))
    hidden = np.vstack([_last_hidden(members, x[chunk].toarray()) for chunk in chunks]).astype(np.float64)
    d = max(1, min(size, hidden.shape[1], len(hidden) - 1))
    pca = PCA(n_components=d, svd_solver="full").fit(hidden)
    return pca.mean_, pca.components_


def embed(members: Sequence[FoldedNetwork], x: sp.csr_matrix, mean: np.ndarray, components: np.ndarray) -> np.ndarray:
    """The embedding of cells, float32 [cells, d], as the annotator's graph gives it.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000). `mean`, `components`: see `fit_embedding`.
    """
    found = np.empty((x.shape[0], len(components)), dtype=np.float32)
    for start in range(0, x.shape[0], CHUNK):
        rows = slice(start, start + CHUNK)
        found[rows] = (_last_hidden(members, x[rows].toarray()) - mean) @ components.T
    return found


def _last_hidden(members: Sequence[FoldedNetwork], values: np.ndarray) -> np.ndarray:
    """Last hidden layers side by side, [cells, units], of the members that have one. `values`: cells x genes."""
    return np.hstack([np.maximum(member.forward(values)[0][-1], 0) for member in members if member.hidden_units])
