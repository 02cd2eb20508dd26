"""The published test: mean contributions differ more between types than between groups of permuted labels.

Labels are permuted many times; sums of values over each permuted group are matrix products.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.stats import false_discovery_control

from cellmark.schemas.errors import LabelError, ParameterError

from ..cells.cell_groups import membership
from ..setting_bounds import check_range

CHUNK_VALUES = 2**23
"""Values of a membership matrix and of its product (32 MB each): as many permutations at once as fit."""
BLOCK_VALUES = 2**24
"""Values of a dense block of genes (64 MB)."""


def permuted_labels(
    codes: np.ndarray, *, n_permutations: int, batch: int, seed: int, strata: np.ndarray | None = None
) -> Iterator[np.ndarray]:
    """Permuted `codes`, int [permutations, cells], at most `batch` at a time.

    With `strata` (any values, one per cell) labels change places only within a stratum. The same arguments give the
    same labels again.
    """
    generator = np.random.default_rng(seed)
    small = codes.astype(np.min_scalar_type(int(codes.max(initial=0))))
    groups = [slice(None)] if strata is None else [np.flatnonzero(strata == name) for name in np.unique(strata)]
    for start in range(0, n_permutations, batch):
        labels = np.tile(small, (min(batch, n_permutations - start), 1))
        for group in groups:
            labels[:, group] = generator.permuted(labels[:, group], axis=1)
        yield labels


def permuted_sums(
    values: np.ndarray,
    codes: np.ndarray,
    *,
    n_types: int,
    n_permutations: int,
    seed: int,
    strata: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Sums of `values` over the cells of each permuted type, float32 [permutations, types, genes], in chunks.

    `values`: float32, cells x genes, dense; centre and scale them first, so that rounding stays small. Calls with the
    same codes and seed see the same permutations, whatever the genes.
    """
    check_range("n_permutations", n_permutations, "at least 1", low=1, remedy="Give a number such as 1000.")
    n_cells = len(codes)
    types = np.arange(n_types, dtype=np.min_scalar_type(n_types))[None, :, None]
    batch = max(1, CHUNK_VALUES // max(n_types * n_cells, n_types * values.shape[1], 1))
    for labels in permuted_labels(codes, n_permutations=n_permutations, batch=batch, seed=seed, strata=strata):
        membership = np.equal(labels[:, None, :], types).astype(np.float32)
        sums = membership.reshape(-1, n_cells) @ values
        yield sums.reshape(len(labels), n_types, values.shape[1])


def gene_blocks(n_cells: int, n_genes: int) -> Iterator[slice]:
    """Consecutive genes, as many as a dense block of these cells may hold."""
    width = max(1, BLOCK_VALUES // max(n_cells, 1))
    for start in range(0, n_genes, width):
        yield slice(start, min(start + width, n_genes))


def standardize(values: np.ndarray, strata: np.ndarray | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Each gene with mean 0 (in every stratum) and variance 1, float64 [cells, genes], and its sd, [genes].

    A gene that does not vary has zeros and sd 0.
    """
    centred = values.astype(np.float64)
    names = np.zeros(len(values), dtype=int) if strata is None else np.unique(strata, return_inverse=True)[1]
    constant = np.ones(values.shape[1], dtype=bool)
    for number in range(int(names.max(initial=0)) + 1):
        group = names == number
        constant &= np.ptp(values[group], axis=0) == 0
        centred[group] -= centred[group].mean(axis=0)
    sd = np.where(constant, 0, centred.std(axis=0))
    centred[:, constant] = 0
    centred /= np.where(sd > 0, sd, 1)
    return centred, sd


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
