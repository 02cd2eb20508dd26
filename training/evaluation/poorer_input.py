"""How calls hold when input is poorer than training data: fewer counts, genes not measured; and by confidence."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..network.augmentation import thin
from .evaluate import accuracy_of, confusion, macro_f1_of

DEPTHS = (0.1, 0.25, 0.5, 1.0)
MISSING = (0.0, 0.1, 0.3, 0.5)
N_DRAWS = 3
"""Draws of the genes that are missing: which ones matters more than which cells."""
SHARES_CALLED = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)

Calls = Callable[[sp.csr_matrix], np.ndarray]
"""Type numbers, int [cells], of normalised expression, CSR, cells x panel genes."""


def depth_curve(calls: Calls, x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, seed: int) -> list[dict[str, Any]]:
    """Accuracy and macro-F1 at each share of the counts (`DEPTHS`), binomially thinned.

    `x`: CSR, cells x panel genes, ln(1 + counts per 10,000), of cells that took no part in training; `codes`: int,
    their types. The library size is thinned with the counts.
    """
    generator = np.random.default_rng(seed)
    points = []
    for share in DEPTHS:
        found = calls(thin(x, np.full(x.shape[0], share), generator))
        points.append({"share_of_counts": share, **_measures(codes, found, n_types)})
    return points


def partial_panel_curve(
    calls: Calls, x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, fill: np.ndarray, seed: int
) -> list[dict[str, Any]]:
    """Accuracy and macro-F1 when a share of the panel's genes (`MISSING`) was not measured; means over draws of genes.

    `x`, `codes`: as in `depth_curve`. `fill`: what the graphs put in the place of such a gene, [genes].
    """
    generator = np.random.default_rng(seed)
    points = []
    for share in MISSING:
        n_draws = N_DRAWS if share else 1
        drawn = []
        for _ in range(n_draws):
            lost = generator.permutation(x.shape[1])[: round(share * x.shape[1])]
            drawn.append(_measures(codes, calls(with_fill(x, lost, fill)), n_types))
        means = {name: float(np.mean([point[name] for point in drawn])) for name in drawn[0]}
        points.append({"share_missing": share, "n_draws": n_draws, **means})
    return points


def with_fill(x: sp.csr_matrix, genes: np.ndarray, fill: np.ndarray) -> sp.csr_matrix:
    """A copy of `x` in which all cells have their baseline in `genes` (numbers of columns)."""
    measured = np.ones(x.shape[1], dtype=x.dtype)
    measured[genes] = 0
    place = np.zeros(x.shape[1], dtype=x.dtype)
    place[genes] = fill[genes]
    filled = sp.csr_matrix(np.broadcast_to(place, x.shape)) if len(genes) else sp.csr_matrix(x.shape, dtype=x.dtype)
    return sp.csr_matrix(x @ sp.diags(measured) + filled)


def confidence_curve(probabilities: np.ndarray, codes: np.ndarray) -> list[dict[str, float]]:
    """Accuracy of the most confident cells, for each of `SHARES_CALLED`. `probabilities`: cells x types."""
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == codes
    points = []
    for share in SHARES_CALLED:
        lowest = np.quantile(confidence, 1 - share)
        called = confidence >= lowest
        points.append(
            {"confidence": float(lowest), "share_called": float(called.mean()), "accuracy": float(right[called].mean())}
        )
    return points


def _measures(codes: np.ndarray, calls: np.ndarray, n_types: int) -> dict[str, float]:
    counts = confusion(codes, calls, n_types)
    return {"accuracy": float(accuracy_of(counts)), "macro_f1": float(macro_f1_of(counts))}
