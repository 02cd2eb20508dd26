"""Values without counts in them: scaled, residuals, between 0 and 1, TPM, corrected, imputed."""

import numpy as np
import scipy.sparse as sp

from .count_steps import INVERSES
from .expression_kinds import (
    ExpressionState,
    StateName,
    constant_total,
    log_in_words,
    per_in_words,
)

DENSE = 0.6
"""Share of values that are not zero from which zeros were filled in: single cells hardly ever detect so many genes."""

MOST_GENES = 2000
FEWEST_CELLS = 10
TIED = 0.3
"""Share of a gene's cells with its smallest value, above which that was a zero before the gene was shifted."""

HEAVY_TAIL = 15.0
"""Largest over median value: above it on a linear scale, below it on a logarithm's."""


def judge_negative(X: sp.csr_matrix) -> ExpressionState:
    """The kind of values below zero: scaled gene by gene, or residuals of a model of depth."""
    genes = X[:, _some_genes(X.shape[1])].toarray()
    if len(genes) < FEWEST_CELLS:
        return ExpressionState("unknown", "scaled values or residuals", "unknown")
    lowest = genes.min(axis=0)
    varies = genes.max(axis=0) > lowest
    genes, lowest = genes[:, varies], lowest[varies]
    if genes.shape[1] == 0:
        return ExpressionState("unknown", "scaled values or residuals", "unknown")
    tied = float(np.median((genes == lowest).mean(axis=0)))
    spread = float(np.median(genes.std(axis=0)))
    if tied >= TIED:
        evidence = f"cells without a gene share one value of it ({tied:.0%} of cells), standard deviation {spread:.2g}"
        return ExpressionState("scaled", "values scaled gene by gene (z-scores)", "likely", evidence=(evidence,))
    evidence = f"the smallest value of a gene is that of few cells ({tied:.0%}), standard deviation {spread:.2g}"
    text = "residuals of a model (Pearson residuals, or values that something was regressed out of)"
    return ExpressionState("residuals", text, "likely", evidence=(evidence,))


def judge_without_steps(X: sp.csr_matrix) -> ExpressionState:
    """The kind of values of at least 0 that are not multiples of one step in each cell."""
    data = X.data
    filled = len(data) / (X.shape[0] * X.shape[1])
    largest = float(data.max())
    if largest <= 1 and _genes_reach_one(X):
        return ExpressionState(
            "min_max",
            "values scaled gene by gene to 0 to 1",
            "likely",
            evidence=("the largest value of genes is exactly 1",),
        )
    if filled >= DENSE:
        evidence = f"{filled:.0%} of all values are above zero"
        return ExpressionState("imputed", "smoothed or imputed values, without zeros", "likely", evidence=(evidence,))
    for name, inverse in INVERSES.items():
        total = constant_total(inverse.undo(data), X.indptr) if largest <= inverse.largest else None
        if total is not None:
            what = "TPM, values" if total == 1e6 else "values"
            text = log_in_words(name, per_in_words(total, what))
            evidence = "cells share one total, but are not multiples of a count: adjusted by gene or corrected before"
            kind: StateName = "total_per" if name == "none" else "transformed_total_per"
            return ExpressionState(kind, text, "certain", transform=name, per=total, evidence=(evidence,))
    if _unit_variance(X):
        return ExpressionState(
            "scaled",
            "values divided by each gene's standard deviation",
            "likely",
            evidence=("genes have a standard deviation of 1",),
        )
    tail = largest / float(np.median(data))
    if tail >= HEAVY_TAIL:
        evidence = f"fractions on a linear scale (largest {largest:.4g}, median {np.median(data):.3g})"
        text = "counts with fractions, as correcting for ambient RNA or sharing reads out among genes leaves"
        return ExpressionState("corrected", text, "likely", evidence=(evidence,))
    text = "transformed values of an unknown kind"
    return ExpressionState("unknown", text, "unknown", evidence=(f"values up to {largest:.4g}",))


def _some_genes(n_genes: int) -> np.ndarray:
    if n_genes <= MOST_GENES:
        return np.arange(n_genes)
    return np.sort(np.random.default_rng(0).choice(n_genes, MOST_GENES, replace=False))


def _genes_reach_one(X: sp.csr_matrix) -> bool:
    return len(np.unique(X.indices[X.data == 1])) >= 3


def _unit_variance(X: sp.csr_matrix) -> bool:
    """Whether genes seen in enough of the sampled cells have a standard deviation of 1, whatever their mean."""
    n_cells, n_genes = X.shape
    seen = np.bincount(X.indices, minlength=n_genes)
    mean = np.bincount(X.indices, weights=X.data, minlength=n_genes) / n_cells
    square = np.bincount(X.indices, weights=X.data**2, minlength=n_genes) / n_cells
    enough = seen >= max(FEWEST_CELLS, n_cells // 10)
    if enough.sum() < FEWEST_CELLS:
        return False
    low, high = np.quantile(np.sqrt(square - mean**2)[enough], [0.1, 0.9])
    return bool(low > 0.75 and high < 1.3)
