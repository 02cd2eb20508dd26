"""What is taken out of each gene before the network sees it."""

import math

import numpy as np
import scipy.sparse as sp

MIN_SD = 0.1
"""Floor of a gene's standard deviation in standardising: rarer genes would be blown up otherwise."""


def standardization(x: sp.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (at least `MIN_SD`) of each gene, [genes]. `x`: CSR, training cells x genes."""
    mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
    mean_square = np.asarray(x.multiply(x).mean(axis=0, dtype=np.float64)).ravel()
    return mean, np.maximum(np.sqrt(np.maximum(mean_square - mean**2, 0)), MIN_SD)


def log2_scale(n_genes: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean 0 and scale ln 2 of each gene: ln(1 + counts per 10,000) becomes log2(1 + counts per 10,000)."""
    return np.zeros(n_genes), np.full(n_genes, math.log(2))
