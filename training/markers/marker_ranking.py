"""How genes are ordered within a cell type: what separates it beyond doubt, weighted by what the network uses."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

SD_FLOOR = 0.5
"""Added to a gene's standard deviation of ln(1 + counts per 10,000): nearly silent genes would win without it."""
STANDARD_ERRORS = 2.0
"""How many standard errors are taken off a difference of means before it counts."""
ATTRIBUTION_POWER = 0.25
ATTRIBUTION_QUANTILE = 0.99
"""Quantile of a type's absolute attributions: the unit in which the others are weighed."""


@dataclass(frozen=True)
class TypeProfiles:
    """Normalised expression per type and gene, float64 [..., types, genes]; `n_cells`: of each type, [..., types]."""

    mean: np.ndarray
    variance: np.ndarray
    n_cells: np.ndarray


def type_profiles(
    x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, weights: np.ndarray | None = None
) -> TypeProfiles:
    """Profiles of each type.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells]. `weights`: [draws, cells], how often a
    draw takes each cell; the profiles are then [draws, types, genes], and a type without cells in a draw has zeros.
    """
    drawn = np.ones((1, len(codes))) if weights is None else weights
    sums = np.zeros((2, len(drawn), n_types, x.shape[1]))
    sizes = np.zeros((len(drawn), n_types))
    for code in range(n_types):
        cells = np.flatnonzero(codes == code)
        of_type, w = x[cells], drawn[:, cells].astype(np.float64)
        sizes[:, code] = w.sum(axis=1)
        for number, power in enumerate((1, 2)):
            values = of_type.data.astype(np.float64) ** power
            matrix = sp.csr_matrix((values, of_type.indices, of_type.indptr), shape=of_type.shape)
            sums[number, :, code] = (matrix.T @ w.T).T
    mean, square = sums / np.maximum(sizes, 1)[..., None]
    variance = np.maximum(square - mean**2, 0)
    if weights is None:
        return TypeProfiles(mean[0], variance[0], sizes[0])
    return TypeProfiles(mean, variance, sizes)


def separation(profiles: TypeProfiles) -> np.ndarray:
    """How far a type's mean surely lies from that of all other types, in standard deviations, [..., types, genes].

    The other types weigh the same, whatever their numbers of cells. `STANDARD_ERRORS` are taken off the difference,
    down to 0; the unit is the root of the mean variance within types, plus `SD_FLOOR`. Negative where the type has
    less.
    """
    n_others = profiles.mean.shape[-2] - 1

    def of_others(values: np.ndarray) -> np.ndarray:
        rest: np.ndarray = (values.sum(axis=-2, keepdims=True) - values) / n_others
        return rest

    of_mean = profiles.variance / np.maximum(profiles.n_cells, 1)[..., None]
    error = np.sqrt(of_mean + of_others(of_mean) / n_others)
    difference = profiles.mean - of_others(profiles.mean)
    certain = np.sign(difference) * np.maximum(np.abs(difference) - STANDARD_ERRORS * error, 0)
    apart: np.ndarray = certain / (np.sqrt(profiles.variance.mean(axis=-2, keepdims=True)) + SD_FLOOR)
    return apart


def attribution_weights(mean_attributions: np.ndarray) -> np.ndarray:
    """How much the network relies on a gene for a type, positive, [..., types, genes].

    softplus(a / u) to the power `ATTRIBUTION_POWER`, where a is the mean attribution and u the type's
    `ATTRIBUTION_QUANTILE` of |a|. Without a bound at 0, since the sign of a small attribution is chance: of genes that
    rise and fall together the network may use either one.
    """
    unit = np.quantile(np.abs(mean_attributions), ATTRIBUTION_QUANTILE, axis=-1, keepdims=True)
    relative = np.divide(
        mean_attributions, unit, out=np.zeros_like(mean_attributions, dtype=np.float64), where=unit > 0
    )
    weights: np.ndarray = np.logaddexp(0, relative) ** ATTRIBUTION_POWER
    return weights


def evidence_scores(mean_attributions: np.ndarray, profiles: TypeProfiles) -> np.ndarray:
    """The ranking `evidence`: `separation` x `attribution_weights`, [..., types, genes].

    Larger is better; negative where a gene's absence marks the type. `mean_attributions`: [..., types, genes], over the
    type's correctly called cells.
    """
    scores: np.ndarray = separation(profiles) * attribution_weights(mean_attributions)
    return scores


def absence_scores(mean_attributions: np.ndarray, profiles: TypeProfiles, fraction: np.ndarray) -> np.ndarray:
    """How well a gene's absence marks a type, [types, genes]; 0 where it does not.

    As `evidence_scores`, but against the median of the other types' means, and times how much larger the median of
    their fractions of expressing cells is: a negative marker is on in most other types and off in this one, not merely
    lower, and not lower than one other type alone. `mean_attributions`, `fraction`: [types, genes].
    """

    def of_others(values: np.ndarray) -> np.ndarray:
        return np.stack([np.median(np.delete(values, row, axis=0), axis=0) for row in range(len(values))])

    error = np.sqrt(profiles.variance / np.maximum(profiles.n_cells, 1)[:, None])
    missing = np.maximum(of_others(profiles.mean) - profiles.mean - STANDARD_ERRORS * error, 0)
    off = np.maximum(of_others(fraction) - fraction, 0)
    unit = np.sqrt(profiles.variance.mean(axis=0)) + SD_FLOOR
    scores: np.ndarray = missing * off / unit * attribution_weights(mean_attributions)
    return scores


def order_genes(scores: np.ndarray, *, tie_breaker: np.ndarray) -> np.ndarray:
    """Genes of each type, best first, int [types, genes]; of equal scores the larger `tie_breaker` first."""
    return np.stack(
        [np.lexsort((np.arange(len(row)), -ties, -row)) for row, ties in zip(scores, tie_breaker, strict=True)]
    )
