"""The manifest's section `panel.overlap`: how calls hold while genes are missing, and the floors that follow."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import scipy.sparse as sp

from ..network.folded_network import fold
from .bootstrap import macro_f1_of
from .out_of_fold import OutOfFold
from .overlap_curve import LostGenes, lose_genes

MASSES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
N_DRAWS = 3
"""Draws of each kind: genes at random, and genes in proportion to their shares, since at the same mass the loss of
important genes costs more (docs/benchmarks.md)."""
MAX_CELLS = 2_000
TOLERANCE = 0.05
"""Macro-F1 that missing genes may cost before an input is refused, and F1 of a type before it is named."""
LOWEST, HIGHEST = 0.3, 0.95
"""Ends of the floors: an input with less is refused, and one with more is not, whatever the curve says."""
TREATMENT = "baseline"
"""What the graphs do; on the cells measured never worse than zero where it matters (docs/benchmarks.md)."""


def overlap_section(
    x: sp.csr_matrix,
    codes: np.ndarray,
    held_out: OutOfFold,
    *,
    baselines: np.ndarray,
    shares: np.ndarray,
    shares_per_type: np.ndarray,
    seed: int,
) -> dict[str, Any] | None:
    """As `OverlapEntry`, of the networks of each fold on the cells that they never saw; None without attributions.

    `x`: CSR, all cells x panel genes, ln(1 + counts per 10,000); `codes`: int [cells]. `baselines`, `shares`,
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
        baselines=baselines,
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
