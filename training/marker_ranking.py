"""How genes are ordered within a cell type: what the network uses, what sets the type apart, what its cells express."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

VARIANCE_FLOOR = 0.05
"""Added to the variance of ln(1 + counts per 10,000) in `separation`: nearly silent genes would win without it."""


@dataclass(frozen=True)
class TypeProfiles:
    """Normalised expression per type and gene, float64 [..., types, genes]. `fraction`: of cells expressing."""

    mean: np.ndarray
    variance: np.ndarray
    fraction: np.ndarray


def type_profiles(
    x: sp.csr_matrix, codes: np.ndarray, n_types: int, *, weights: np.ndarray | None = None
) -> TypeProfiles:
    """Profiles of each type.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000); `codes`: int [cells]. `weights`: [draws, cells], how often a
    draw takes each cell; the profiles are then [draws, types, genes], and a type without cells in a draw has zeros.
    """
    drawn = np.ones((1, len(codes))) if weights is None else weights
    sums = np.zeros((3, len(drawn), n_types, x.shape[1]))
    sizes = np.zeros((len(drawn), n_types, 1))
    for code in range(n_types):
        cells = np.flatnonzero(codes == code)
        of_type, w = x[cells], drawn[:, cells].astype(np.float64)
        sizes[:, code, 0] = w.sum(axis=1)
        for number, values in enumerate((of_type.data, of_type.data.astype(np.float64) ** 2, of_type.data > 0)):
            matrix = sp.csr_matrix((values.astype(np.float64), of_type.indices, of_type.indptr), shape=of_type.shape)
            sums[number, :, code] = (matrix.T @ w.T).T
    mean, square, fraction = sums / np.maximum(sizes, 1)
    profiles = TypeProfiles(mean, np.maximum(square - mean**2, 0), fraction)
    if weights is None:
        return TypeProfiles(*(values[0] for values in (profiles.mean, profiles.variance, profiles.fraction)))
    return profiles


def separation(profiles: TypeProfiles) -> np.ndarray:
    """Distance of a type's mean from that of all other types, in standard deviations, [..., types, genes].

    The other types weigh the same, whatever their numbers of cells; their variance is that of their equal mixture. The
    square root is over the mean of both variances plus `VARIANCE_FLOOR`, as in Cohen's d for groups of equal size.
    """
    n_others = profiles.mean.shape[-2] - 1

    def of_others(values: np.ndarray) -> np.ndarray:
        rest: np.ndarray = (values.sum(axis=-2, keepdims=True) - values) / n_others
        return rest

    others = of_others(profiles.mean)
    spread = np.maximum(of_others(profiles.variance) + of_others(profiles.mean**2) - others**2, 0)
    distance: np.ndarray = (profiles.mean - others) / np.sqrt((profiles.variance + spread) / 2 + VARIANCE_FLOOR)
    return distance


def evidence_scores(mean_attributions: np.ndarray, profiles: TypeProfiles) -> np.ndarray:
    """The ranking `evidence`, [..., types, genes]; larger is better, negative where a gene's absence marks the type.

    `mean_attributions`: [..., types, genes], over the type's correctly called cells. A marker must be all of: used by
    the network for this type (square root of its mean attribution), apart from other types (`separation`), and
    expressed by most of the type's cells (their fraction; for a negative marker the mean fraction in other types).
    The score is the product; a gene that speaks against its own type scores 0.
    """
    n_others = profiles.mean.shape[-2] - 1
    apart = separation(profiles)
    in_others = (profiles.fraction.sum(axis=-2, keepdims=True) - profiles.fraction) / n_others
    expressed = np.where(apart > 0, profiles.fraction, in_others)
    scores: np.ndarray = np.sqrt(np.maximum(mean_attributions, 0)) * apart * expressed
    return scores


def order_genes(scores: np.ndarray, *, tie_breaker: np.ndarray) -> np.ndarray:
    """Genes of each type, best first, int [types, genes]; of equal scores the larger `tie_breaker` first."""
    return np.stack(
        [np.lexsort((np.arange(len(row)), -ties, -row)) for row, ties in zip(scores, tie_breaker, strict=True)]
    )
