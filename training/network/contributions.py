"""What each gene did for each call, in chunks: DeepLIFT multipliers of folded networks, without autograd.

Three words that are never mixed: *multipliers* m; *attributions* m x (x - x0), complete, the ones that are served;
*contributions* m x x, what the published statistic takes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from ..cells.cell_groups import membership
from ..choices import BaselineKind
from .folded_network import FoldedNetwork

TINY = 1e-10
CHUNK = 1024


def multipliers(network: FoldedNetwork, x: np.ndarray, baselines: np.ndarray, target: np.ndarray) -> np.ndarray:
    """DeepLIFT multipliers (rescale rule; Shrikumar et al. 2017, arXiv:1704.02685).

    `x`: [cells, genes], normalised expression; `baselines`: x0, [genes] or [cells, genes]; `target`: [cells, types],
    the weights of the
    logits to explain. Returns [cells, genes] in the dtype of `x`.
    """
    at_x, _ = network.forward(x)
    at_baseline, _ = network.forward(np.atleast_2d(baselines).astype(x.dtype))
    back: np.ndarray = target.astype(x.dtype) @ network.weights[-1].astype(x.dtype)
    layers = list(zip(network.weights[:-1], at_x, at_baseline, strict=True))
    for weight, z, z0 in reversed(layers):
        difference = z - z0
        small = np.abs(difference) < TINY
        quotient = (np.maximum(z, 0) - np.maximum(z0, 0)) / np.where(small, 1, difference)
        back = (back * np.where(small, z > 0, quotient)) @ weight.astype(x.dtype)
    return back


def mean_of_types(x: sp.csr_matrix, codes: np.ndarray, n_types: int) -> np.ndarray:
    """The baseline: the mean over types of each type's mean expression, float32 [genes], so every type weighs the same.

    `x`: CSR, training cells x genes, normalised expression; `codes`: int [cells].
    """
    sizes = np.bincount(codes, minlength=n_types)
    means = sp.diags(1 / np.maximum(sizes, 1)) @ membership(codes, n_types)
    baseline: np.ndarray = (means @ x).mean(axis=0)
    return np.asarray(baseline).ravel().astype(np.float32)


def fill_of(x: sp.csr_matrix, codes: np.ndarray, n_types: int) -> np.ndarray:
    """What a gene takes that an input did not measure: halfway from the mean of cells to that of types, [genes].

    The mean over types is high in a rare type's markers, and a cell filled with it looks a little like each rare type;
    one filled with the mean over cells looks like the most frequent one (docs/benchmarks.md).
    `x`: CSR, training cells x genes, normalised expression; `codes`: int [cells].
    """
    of_cells = np.asarray(x.mean(axis=0), dtype=np.float32).ravel()
    return (mean_of_types(x, codes, n_types) + of_cells) / 2


def choose_baselines(kind: BaselineKind, x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, seed: int) -> np.ndarray:
    """The expression that attributions compare with, float32 [genes].

    `mean`: see `mean_of_types`. `zero`: nothing expressed. `random`: |N(mean, sd)| per gene, drawn once, as published
    (Zhang et al. 2026, bbag223). `x`: CSR, training cells x genes, normalised expression; `codes`: int [cells].
    """
    if kind == "mean":
        return mean_of_types(x, codes, n_types)
    if kind == "zero":
        return np.zeros(x.shape[1], dtype=np.float32)
    mean = np.asarray(x.mean(axis=0, dtype=np.float64)).ravel()
    mean_square = np.asarray(x.multiply(x).mean(axis=0, dtype=np.float64)).ravel()
    sd = np.sqrt(np.maximum(mean_square - mean**2, 0))
    drawn: np.ndarray = np.abs(np.random.default_rng(seed).normal(mean, sd)).astype(np.float32)
    return drawn


@dataclass(frozen=True)
class TypeMeans:
    """Per type and gene, [types, genes]: means over the type's correctly called cells, of which there are `n_cells`."""

    contributions: np.ndarray
    attributions: np.ndarray
    absolute_attributions: np.ndarray
    n_cells: np.ndarray


def type_means(
    members: Sequence[FoldedNetwork], x: sp.csr_matrix, baselines: np.ndarray, codes: np.ndarray, calls: np.ndarray
) -> TypeMeans:
    """Mean contributions and attributions for the cell's own type, over cells that are called right.

    `x`: CSR, cells x genes, normalised expression; `codes`, `calls`: int [cells]. Mean over members. Never holds more
    than a chunk of cells x genes.
    """
    n_types = members[0].n_types
    sums = np.zeros((3, n_types, x.shape[1]))
    right = np.flatnonzero(codes == calls)
    for cells, values, mean in _chunk_multipliers(members, x, baselines, codes, right):
        attributions = mean * (values - baselines)
        of_type = np.zeros((n_types, len(cells)), dtype=np.float32)
        of_type[codes[cells], np.arange(len(cells))] = 1
        sums[0] += of_type @ (mean * values)
        sums[1] += of_type @ attributions
        sums[2] += of_type @ np.abs(attributions)
    n_cells = np.bincount(codes[right], minlength=n_types)
    means = sums / np.maximum(n_cells, 1)[None, :, None]
    return TypeMeans(means[0], means[1], means[2], n_cells)


def weighted_attributions(
    members: Sequence[FoldedNetwork],
    x: sp.csr_matrix,
    baselines: np.ndarray,
    codes: np.ndarray,
    calls: np.ndarray,
    *,
    weights: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Mean attributions as in `type_means`, of cells taken as often as each draw says.

    `weights`: float32 [draws, cells]. Returns the means, float32 [draws, types, genes], and the weight of correctly
    called cells, [draws, types]; a type without any has zeros.
    """
    n_types = members[0].n_types
    sums = np.zeros((len(weights), n_types, x.shape[1]), dtype=np.float32)
    right = np.flatnonzero(codes == calls)
    right = right[np.argsort(codes[right], kind="stable")]  # few types a chunk, so few products
    for cells, values, mean in _chunk_multipliers(members, x, baselines, codes, right):
        attributions = mean * (values - baselines)
        for code in np.unique(codes[cells]):
            of_type = codes[cells] == code
            sums[:, code] += weights[:, cells[of_type]] @ attributions[of_type]
    sizes = np.stack([weights[:, right[codes[right] == code]].sum(axis=1) for code in range(n_types)], axis=1)
    return sums / np.maximum(sizes, 1)[..., None], sizes


def cell_contributions(
    members: Sequence[FoldedNetwork],
    x: sp.csr_matrix,
    baselines: np.ndarray,
    codes: np.ndarray,
    member_calls: np.ndarray,
) -> np.ndarray:
    """Contributions of every cell for its own type, float32 [cells, genes]: the published statistic's input.

    Mean of multiplier x expression over the members that call the cell right, NaN for a cell that none does.
    `member_calls`: int [members, cells]. This is as large as the expression matrix made dense: provide a sample of
    the cells where they are many.
    """
    types = np.eye(members[0].n_types, dtype=np.float32)
    found = np.zeros(x.shape, dtype=np.float32)
    right = member_calls == codes[None, :]
    for start in range(0, x.shape[0], CHUNK):
        rows = slice(start, start + CHUNK)
        values = x[rows].toarray()
        for member, of_member in zip(members, right, strict=True):
            called = np.flatnonzero(of_member[rows])
            if len(called):
                of_chunk = multipliers(member, values[called], baselines, types[codes[rows][called]])
                found[rows][called] += of_chunk * values[called]
    n_right = right.sum(axis=0, dtype=np.float32)[:, None]
    return np.where(n_right > 0, found / np.maximum(n_right, 1), np.float32(np.nan))


def _chunk_multipliers(
    members: Sequence[FoldedNetwork], x: sp.csr_matrix, baselines: np.ndarray, codes: np.ndarray, cells: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    types = np.eye(members[0].n_types, dtype=np.float32)
    for start in range(0, len(cells), CHUNK):
        rows = cells[start : start + CHUNK]
        values = x[rows].toarray()
        target = types[codes[rows]]
        mean = sum(multipliers(member, values, baselines, target) for member in members) / len(members)
        yield rows, values, np.asarray(mean)


def attribution_shares(means: TypeMeans) -> tuple[np.ndarray, np.ndarray]:
    """Each gene's share of the attribution mass: overall, [genes], and per type, [types, genes]; each sums to 1.

    The mass is the mean absolute attribution; overall, types weigh the same.
    """
    totals = means.absolute_attributions.sum(axis=1, keepdims=True)
    per_type = np.divide(
        means.absolute_attributions, totals, out=np.zeros_like(means.absolute_attributions), where=totals > 0
    )
    overall = per_type.sum(axis=0)
    return overall / max(overall.sum(), np.finfo(float).tiny), per_type
