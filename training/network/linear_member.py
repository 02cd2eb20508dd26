"""Logistic regression as a member of the ensemble, and as the simple rival that the ensemble is compared with.

It errs on other cells than networks do, and holds where half of the genes are missing (docs/benchmarks.md).
"""

import warnings

import numpy as np
import scipy.sparse as sp
import torch
from threadpoolctl import threadpool_limits
from torch import nn

from ..cells.cell_groups import draw_cells
from .augmentation import Augmentation, thin
from .batch_inputs import standardization
from .classifier import Classifier, NetworkShape
from .contributions import fill_of

LINEAR = NetworkShape(hidden_units=(), dropout=0.0)
"""The shape of a member without hidden layers."""
WEIGHT = 1.0
"""What its logits are multiplied by: in the mean over members it counts for one network (docs/benchmarks.md)."""
MAX_ITERATIONS = 300
MAX_ROWS = 20_000
"""Rows that it learns from at most: dense rows of more would not fit beside the networks'."""
RARE = 50
"""Cells of each type that are drawn before chance takes the rest."""
ABSENT = -10.0
"""Logit of a type without cells. The logits of the others have mean 0, so that such a type is never called."""
PLAIN = Augmentation()


def fit_linear(
    x: sp.csr_matrix,
    codes: np.ndarray,
    cells: np.ndarray,
    n_types: int,
    *,
    augmentation: Augmentation = PLAIN,
    seed: int,
) -> Classifier:
    """Multinomial logistic regression, types balanced, scikit-learn's default penalty (C = 1); in evaluation mode.

    `x`: CSR, cells x panel genes, normalised expression; `codes`: int [cells]; `cells`: numbers of those that are
    learned from, of more than `MAX_ROWS` as many as are drawn. Genes are standardised with their mean and scale. With
    an `augmentation` each cell is learned from twice, as it is and as that makes it, the two weighing as one cell.
    """
    copies = 2 if augmentation.share else 1
    if len(cells) > MAX_ROWS // copies:
        cells = np.sort(cells[draw_cells(codes[cells], at_most=MAX_ROWS // copies, at_least=RARE, seed=seed)])
    mean, scale = standardization(x[cells])
    weights, biases = np.zeros((n_types, x.shape[1])), np.full(n_types, ABSENT)
    present = np.unique(codes[cells])
    biases[present] = 0
    if len(present) > 1:
        values = np.asarray((x[cells].toarray() - mean) / scale, dtype=np.float32)
        if copies > 1:
            fill = fill_of(x[cells], np.searchsorted(present, codes[cells]), len(present))
            poorer = _poorer(x[cells], fill, augmentation, seed=seed)
            values = np.concatenate([values, np.asarray((poorer - mean) / scale, dtype=np.float32)])
        weights[present], biases[present] = _fit(values, np.tile(codes[cells], copies), penalty=copies)
    classifier = Classifier(x.shape[1], n_types, LINEAR, mean=mean, scale=scale)
    (layer,) = (layer for layer in classifier.layers if isinstance(layer, nn.Linear))
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(WEIGHT * weights))
        layer.bias.copy_(torch.as_tensor(WEIGHT * biases))
    return classifier.eval()


def _poorer(x: sp.csr_matrix, fill: np.ndarray, augmentation: Augmentation, *, seed: int) -> np.ndarray:
    """Normalised cells with fewer counts and genes missing, which take `fill` [genes]; float32, cells x genes."""
    generator = np.random.default_rng([seed, 2])
    if augmentation.thins:
        x = thin(x, augmentation.depths(x.shape[0], generator), generator)
    values: np.ndarray = x.toarray()
    return np.where(augmentation.missing(values.shape, generator), fill, values) if augmentation.drops else values


def _fit(values: np.ndarray, codes: np.ndarray, *, penalty: float) -> tuple[np.ndarray, np.ndarray]:
    """Weights [present types, genes] and biases [present types]. `values`: standardised, cells x genes."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    regression = LogisticRegression(class_weight="balanced", C=1 / penalty, max_iter=MAX_ITERATIONS)
    # One thread: its sums, and so the weights, are the same on every number of cores.
    with warnings.catch_warnings(), threadpool_limits(limits=1):
        warnings.simplefilter("ignore", ConvergenceWarning)  # its calls are what counts
        regression.fit(values, codes)
    weights, biases = regression.coef_, regression.intercept_
    if len(weights) == 1:  # of two types scikit-learn has the logit of the second against the first
        return np.vstack([-weights, weights]) / 2, np.concatenate([-biases, biases]) / 2
    return weights, biases
