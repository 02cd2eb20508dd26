"""Labels of cells permuted many times, and the sums of values over each permuted group as matrix products."""

from collections.abc import Iterator

import numpy as np

from cellmark.schemas.errors import ParameterError

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
    if n_permutations < 1:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="n_permutations",
            expected="at least 1",
            found=str(n_permutations),
            remedy="Give a number such as 1000.",
        )
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
