"""How calls hold while genes of the panel are missing, at their fill or at zero, and the floors that follow."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..network.folded_network import FoldedNetwork, fold
from .evaluate import confusion, macro_f1_of
from .out_of_fold import OutOfFold

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
    fill: np.ndarray,
    shares: np.ndarray,
    shares_per_type: np.ndarray,
    orders: Sequence[np.ndarray],
    masses: Sequence[float],
) -> LostGenes:
    """Take genes away in each of `orders` until each of `masses` (rising shares of the attribution mass) is missing.

    `folds`: networks, and the numbers of the cells that these are asked about. `x`: CSR, all cells x genes, ln(1 +
    counts per 10,000); `codes`: int [cells]. `fill`, `shares`: [genes]; `shares_per_type`: [types, genes], each
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
                logits = _logits(networks, values, fill, order, n_lost[draw])
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
    networks: Sequence[FoldedNetwork], values: np.ndarray, fill: np.ndarray, order: np.ndarray, n_lost: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """At each point the sums over networks of their logits, [cells, types], at the fill and at zero."""
    totals: list[tuple[np.ndarray, np.ndarray]] = []
    taken = order[: n_lost[-1]]
    lost, in_place = values[:, taken], fill[taken]
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


MASSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
N_DRAWS = 3
"""Draws of each kind: genes at random, and genes in proportion to their shares, since at the same mass the loss of
important genes costs more (docs/benchmarks.md)."""
MAX_CELLS = 2_000
TOLERANCE = 0.05
"""Macro-F1 that missing genes may cost before an input is refused, and F1 of a type before it is named."""
LOWEST, HIGHEST = 0.3, 0.95
"""Ends of the floors: an input with less is refused, and one with more is not, whatever the curve says."""
TREATMENT = "fill"
"""What the graphs do; on the cells measured never worse than zero where it matters (docs/benchmarks.md)."""


def overlap_section(
    x: sp.csr_matrix,
    codes: np.ndarray,
    held_out: OutOfFold,
    *,
    fill: np.ndarray,
    shares: np.ndarray,
    shares_per_type: np.ndarray,
    seed: int,
) -> dict[str, Any] | None:
    """As `OverlapEntry`, of the networks of each fold on the cells that they never saw; None without attributions.

    `x`: CSR, all cells x panel genes, ln(1 + counts per 10,000); `codes`: int [cells]. `fill`, `shares`,
    `shares_per_type`: of the registered model, [genes], [genes], [types, genes]. Test cells take no part.
    """
    if not shares.sum() > 0:
        return None
    generator = np.random.default_rng(seed)
    plan = held_out.plan
    cells = plan.cells
    if len(cells) > MAX_CELLS:
        cells = np.sort(generator.choice(cells, MAX_CELLS, replace=False))
    folds = [
        ([fold(classifier) for classifier in classifiers], cells[plan.fold_of[cells] == number])
        for number, classifiers in enumerate(held_out.classifiers)
    ]
    lost = lose_genes(
        folds,
        x,
        codes,
        fill=fill,
        shares=shares,
        shares_per_type=shares_per_type,
        orders=draw_orders(shares, generator),
        masses=MASSES,
    )
    mass, at_baseline = lost.mass_missing.mean(axis=0), macro_f1_of(lost.at_baseline).mean(axis=0)
    genes, at_zero = lost.genes_missing.mean(axis=0), macro_f1_of(lost.at_zero).mean(axis=0)
    return {
        "treatment": TREATMENT,
        "min_mass": floor_of(mass, at_baseline),
        "min_type_mass": floor_of(*type_curve(lost)),
        "max_loss": TOLERANCE,
        "evaluated_on": "out_of_fold",
        "n_cells": len(cells),
        "n_draws": 2 * N_DRAWS,
        "curve": [
            dict(zip(("mass_missing", "genes_missing", "at_baseline", "at_zero"), map(float, point), strict=True))
            for point in zip(mass, genes, at_baseline, at_zero, strict=True)
        ],
    }


def draw_orders(shares: np.ndarray, generator: np.random.Generator) -> list[np.ndarray]:
    """Orders in which genes go missing: `N_DRAWS` at random and as many in proportion to `shares`, important ones soon.

    The second kind are weighted draws without replacement (Efraimidis & Spirakis 2006, Inf. Process. Lett. 97:181).
    """
    n_genes = len(shares)
    at_random = [generator.permutation(n_genes) for _ in range(N_DRAWS)]
    waits = [generator.exponential(size=n_genes) / np.maximum(shares, 1e-12) for _ in range(N_DRAWS)]
    return [*at_random, *(np.argsort(wait, kind="stable") for wait in waits)]


def type_curve(lost: LostGenes) -> tuple[np.ndarray, np.ndarray]:
    """Mass of a type that is missing, in steps of a tenth, and 1 less the F1 that this costs a type; means over types,
    draws and points. Types without cells, or that no cell is called by the whole panel, do not count.
    """
    right = np.diagonal(lost.at_baseline, axis1=-2, axis2=-1)
    f1 = 2 * right / np.maximum(lost.at_baseline.sum(axis=-1) + lost.at_baseline.sum(axis=-2), 1)
    counts = np.broadcast_to(f1[:, :1] > 0, f1.shape)
    costs, missing = (f1[:, :1] - f1)[counts], lost.type_mass_missing[counts]
    steps = np.rint(missing * 10).astype(int)
    there = np.unique(steps)
    return (
        np.array([missing[steps == step].mean() for step in there]),
        np.array([1 - costs[steps == step].mean() for step in there]),
    )


def floor_of(missing: np.ndarray, quality: Sequence[float] | np.ndarray) -> float:
    """Least mass that must be there, between `LOWEST` and `HIGHEST`, rounded to thousandths.

    It is where `quality` first falls `TOLERANCE` below its first value, on lines between the points. `missing`: mass,
    rising.
    """
    allowed = quality[0] - TOLERANCE
    most = float(missing[-1])
    for before, after in zip(range(len(missing) - 1), range(1, len(missing)), strict=True):
        if quality[after] < allowed:
            part = (quality[before] - allowed) / (quality[before] - quality[after])
            most = float(missing[before] + part * (missing[after] - missing[before]))
            break
    return round(float(np.clip(1 - most, LOWEST, HIGHEST)), 3)
