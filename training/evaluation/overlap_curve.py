"""Calls of networks while more and more of the panel's genes were not measured, at their baseline or at zero."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..network.folded_network import FoldedNetwork
from .bootstrap import confusion

CHUNK = 1024


@dataclass(frozen=True)
class LostGenes:
    """Confusion matrices while genes go missing, int [draws, points, types, types], one for each treatment.

    `genes_missing`, `mass_missing`: float64 [draws, points], shares of the panel's genes and of its attribution mass;
    `type_mass_missing`: float64 [draws, points, types], of each type's own mass. The first point of each draw lacks no
    gene.
    """

    at_baseline: np.ndarray
    at_zero: np.ndarray
    genes_missing: np.ndarray
    mass_missing: np.ndarray
    type_mass_missing: np.ndarray


def lose_genes(
    folds: Sequence[tuple[Sequence[FoldedNetwork], np.ndarray]],
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    baselines: np.ndarray,
    shares: np.ndarray,
    shares_per_type: np.ndarray,
    orders: Sequence[np.ndarray],
    masses: Sequence[float],
) -> LostGenes:
    """Take genes away in each of `orders` until each of `masses` (rising shares of the attribution mass) is missing.

    `folds`: networks, and the numbers of the cells that these are asked about. `x`: CSR, all cells x genes, ln(1 +
    counts per 10,000); `codes`: int [cells]. `baselines`, `shares`: [genes]; `shares_per_type`: [types, genes], each
    summing to 1. An order is a permutation of the genes, the first to go first.

    What genes do to the first layer's sums is taken off step by step, so that a draw costs one pass through that layer
    however many points it has.
    """
    n_types = len(shares_per_type)
    n_lost = np.stack([_n_lost(shares[order], masses) for order in orders])
    counted = np.zeros((2, len(orders), n_lost.shape[1], n_types, n_types), dtype=np.int64)
    for networks, cells in folds:
        for start in range(0, len(cells), CHUNK):
            rows = cells[start : start + CHUNK]
            values = x[rows].toarray()
            for draw, order in enumerate(orders):
                logits = _logits(networks, values, baselines, order, n_lost[draw])
                for point, of_point in enumerate(logits):
                    for treatment, scores in enumerate(of_point):
                        counted[treatment, draw, point] += confusion(codes[rows], scores.argmax(axis=1), n_types)
    lost = [[order[:number] for number in numbers] for order, numbers in zip(orders, n_lost, strict=True)]
    return LostGenes(
        counted[0],
        counted[1],
        n_lost / len(shares),
        np.array([[shares[genes].sum() for genes in of_draw] for of_draw in lost]),
        np.array([[shares_per_type[:, genes].sum(axis=1) for genes in of_draw] for of_draw in lost]),
    )


def _n_lost(shares: np.ndarray, masses: Sequence[float]) -> np.ndarray:
    """How many of the genes have to go until each mass is missing; before them all, none. `shares`: in their order."""
    needed = np.searchsorted(np.cumsum(shares), np.asarray(masses), side="left") + 1
    return np.concatenate([[0], np.minimum(needed, len(shares))])


def _logits(
    networks: Sequence[FoldedNetwork], values: np.ndarray, baselines: np.ndarray, order: np.ndarray, n_lost: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """At each point the sums over networks of their logits, [cells, types], at the baselines and at zero."""
    totals: list[tuple[np.ndarray, np.ndarray]] = []
    taken = order[: n_lost[-1]]
    lost, in_place = values[:, taken], baselines[taken]
    for network in networks:
        first = network.weights[0][:, taken]
        at_zero = values @ network.weights[0].T + network.biases[0]
        filled = np.zeros(len(first), dtype=np.float32)
        for point, number in enumerate(n_lost):
            if point:
                step = slice(n_lost[point - 1], number)
                at_zero = at_zero - lost[:, step] @ first[:, step].T
                filled = filled + first[:, step] @ in_place[step]
            found = _after_first(network, at_zero + filled), _after_first(network, at_zero)
            if len(totals) == point:
                totals.append(found)
            else:
                totals[point] = totals[point][0] + found[0], totals[point][1] + found[1]
    return totals


def _after_first(network: FoldedNetwork, z: np.ndarray) -> np.ndarray:
    """Logits from the first layer's sums, [cells, units]."""
    for weight, bias in zip(network.weights[1:], network.biases[1:], strict=True):
        z = np.maximum(z, 0) @ weight.T + bias
    return z
