"""The published test: mean contributions differ more between types than between groups of permuted labels."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from cellmark.schemas.errors import LabelError, ParameterError

from ..cells.membership import membership
from .label_permutation import gene_blocks, permuted_sums, standardize

TIE = 1e-5
"""Relative: what single precision may cost a permuted T that equals T."""


@dataclass(frozen=True)
class PermutationTest:
    """Per gene, float64 [genes]: `t_statistic`, its `p_value` and the same after Benjamini-Hochberg, `fdr`."""

    t_statistic: np.ndarray
    p_value: np.ndarray
    fdr: np.ndarray


def permutation_test(
    contributions: np.ndarray,
    codes: np.ndarray,
    *,
    n_types: int,
    n_permutations: int = 1000,
    seed: int,
    strata: np.ndarray | None = None,
) -> PermutationTest:
    """T = population variance over types of the mean contribution; p = (1 + #{T* >= T}) / (1 + permutations).

    `contributions`: cells x genes, dense; `codes`: int [cells]. Types without a cell do not count. T is computed in
    float64, the permuted T* from single-precision products of centred, scaled contributions (T* of a gene shifts with
    neither); a T* within 1e-5 of T counts as equal. A gene that does not vary has p = 1. With `strata`, such as donors,
    labels are permuted within them. Zhang et al. 2026 (bbag223). Raises `LabelError` for fewer than two types.
    """
    sizes = np.bincount(codes, minlength=n_types)
    present = np.flatnonzero(sizes)
    if len(contributions) != len(codes):
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="contributions",
            expected=f"{len(codes)} rows, as many as codes",
            found=str(len(contributions)),
            remedy="Take the rows of the same cells.",
        )
    if len(present) < 2:
        raise LabelError.of(
            "LABEL_ONE_CLASS",
            where="codes",
            expected="cells of at least two types",
            found=str(len(present)),
            remedy="Add other cells.",
        )
    codes = np.searchsorted(present, codes)
    sizes = sizes[present, None]
    members = membership(codes, len(present))
    n_genes = contributions.shape[1]
    t_statistic, at_least = np.zeros(n_genes), np.zeros(n_genes)
    for genes in gene_blocks(*contributions.shape):
        standardized, sd = standardize(contributions[:, genes])
        t = ((members @ standardized) / sizes).var(axis=0)
        t_statistic[genes] = t * sd**2
        varying = np.flatnonzero(sd > 0)
        reached = np.zeros(len(varying))
        for sums in permuted_sums(
            standardized[:, varying].astype(np.float32),
            codes,
            n_types=len(present),
            n_permutations=n_permutations,
            seed=seed,
            strata=strata,
        ):
            permuted = (sums / sizes).var(axis=1)
            reached += (permuted >= t[varying] * (1 - TIE)).sum(axis=0)
        at_least[genes] = n_permutations
        at_least[genes.start + varying] = reached
    p_value = (1 + at_least) / (1 + n_permutations)
    return PermutationTest(t_statistic, p_value, false_discovery_control(p_value))
