"""How genes are ranked as markers of a type, and the first genes of a marker table.

What sets a type apart beyond doubt and is its own comes first (`distinct_scores`). The first places are taken by what
the model relies on besides (`evidence_scores`), and so that genes do not repeat each other (`complementary_genes.py`).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..choices import BaselineKind, Ranking
from ..setting_bounds import AtLeast0, AtLeast1


@dataclass(frozen=True)
class MarkerSettings:
    """How markers are chosen and tested.

    `ranking`: `evidence` (see `marker_ranking.py`); `published`, the marker score of Zhang et al. 2026 (bbag223);
    `contribution`, by what the network uses alone. `baseline`: what a gene's contribution is measured against: the
    `mean` of types, `zero`, or one `random` cell. `n_permutations`: of labels, for p-values. `n_bootstraps`: draws of
    cells, for a rank's stability. `n_candidates`: at most so many genes of a type are scored by `published`.
    `include_genes`: symbols, the only ones that may be markers (empty: all); `exclude_genes`: symbols that may not. The
    network sees all genes of the panel all the same.
    """

    ranking: Ranking = "evidence"
    baseline: BaselineKind = "mean"
    n_permutations: AtLeast1 = 1000
    n_bootstraps: AtLeast0 = 50
    n_candidates: AtLeast1 = 50
    include_genes: tuple[str, ...] = ()
    exclude_genes: tuple[str, ...] = ()


SD_FLOOR = 0.5
"""Added to a gene's standard deviation of ln(1 + counts per 10,000): nearly silent genes would win without it."""
STANDARD_ERRORS = 2.0
"""How many standard errors are taken off a difference of means before it counts."""
OWN_SHARE = 2.0
"""A gene counts in full where the other types' mean is at most 1 - 1 / `OWN_SHARE` of the type's, here a half."""
ATTRIBUTION_POWER = 0.25
COEFFICIENT_POWER = 0.5
RELIANCE_QUANTILE = 0.99
"""Quantile of a type's absolute attributions (or coefficients): the unit in which the others are weighed."""


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


def of_others(values: np.ndarray) -> np.ndarray:
    """Mean over all other types, which weigh the same. `values`: [..., types, genes], as is what it returns."""
    rest: np.ndarray = (values.sum(axis=-2, keepdims=True) - values) / (values.shape[-2] - 1)
    return rest


def separation(profiles: TypeProfiles) -> np.ndarray:
    """How far a type's mean surely lies from that of all other types, in standard deviations, [..., types, genes].

    The other types weigh the same, whatever their numbers of cells. `STANDARD_ERRORS` are taken off the difference,
    down to 0; the unit is the root of the mean variance within types, plus `SD_FLOOR`. Negative where the type has
    less.
    """
    n_others = profiles.mean.shape[-2] - 1
    of_mean = profiles.variance / np.maximum(profiles.n_cells, 1)[..., None]
    error = np.sqrt(of_mean + of_others(of_mean) / n_others)
    difference = profiles.mean - of_others(profiles.mean)
    certain = np.sign(difference) * np.maximum(np.abs(difference) - STANDARD_ERRORS * error, 0)
    apart: np.ndarray = certain / (np.sqrt(profiles.variance.mean(axis=-2, keepdims=True)) + SD_FLOOR)
    return apart


def own_share(profiles: TypeProfiles) -> np.ndarray:
    """How far a gene is the type's own, 0 to 1, [..., types, genes]: 2 (1 - o / m) within these bounds.

    m: the type's mean, o: the mean of the other types' means. 1 where the others have at most half as much, 0 where
    they have as much or more: genes that every cell expresses (MALAT1, ribosomal proteins) can differ beyond doubt
    between types and are still no markers.
    """
    others = of_others(profiles.mean)
    ratio = np.divide(others, profiles.mean, out=np.ones_like(others), where=profiles.mean > 0)
    share: np.ndarray = np.clip(OWN_SHARE * (1 - ratio), 0, 1)
    return share


def distinct_scores(profiles: TypeProfiles) -> np.ndarray:
    """`separation`, times `own_share` where it is positive, [..., types, genes]: what cells alone say of a gene."""
    apart = separation(profiles)
    return np.where(apart > 0, apart * own_share(profiles), apart)


def reliance_weights(values: np.ndarray, *, power: float = ATTRIBUTION_POWER) -> np.ndarray:
    """How much a model relies on a gene for a type, positive, [..., types, genes].

    softplus(a / u) to the `power`, where a is the mean attribution (or the coefficient) and u the type's
    `RELIANCE_QUANTILE` of |a|. Without a bound at 0, since the sign of a small attribution is chance: of genes that
    rise and fall together a network may use either one.
    """
    unit = np.quantile(np.abs(values), RELIANCE_QUANTILE, axis=-1, keepdims=True)
    relative = np.divide(values, unit, out=np.zeros_like(values, dtype=np.float64), where=unit > 0)
    weights: np.ndarray = np.logaddexp(0, relative) ** power
    return weights


def evidence_scores(mean_attributions: np.ndarray, coefficients: np.ndarray, profiles: TypeProfiles) -> np.ndarray:
    """What the first places are chosen by: `distinct_scores` x `reliance_weights` of both, [..., types, genes].

    Larger is better; negative where a gene's absence marks the type. `mean_attributions`: [..., types, genes], over the
    type's correctly called cells; `coefficients`: [types, genes], as `expression_coefficients` gives them.
    """
    weights = reliance_weights(mean_attributions) * reliance_weights(coefficients, power=COEFFICIENT_POWER)
    scores: np.ndarray = distinct_scores(profiles) * weights
    return scores


def absence_scores(mean_attributions: np.ndarray, profiles: TypeProfiles, fraction: np.ndarray) -> np.ndarray:
    """How well a gene's absence marks a type, [types, genes]; 0 where it does not.

    As `separation` x `reliance_weights`, but against the median of the other types' means, and times how much larger
    the median of their fractions of expressing cells is: a negative marker is on in most other types and off in this
    one, not merely lower, and not lower than one other type alone. `mean_attributions`, `fraction`: [types, genes].
    """

    def median_of_others(values: np.ndarray) -> np.ndarray:
        return np.stack([np.median(np.delete(values, row, axis=0), axis=0) for row in range(len(values))])

    error = np.sqrt(profiles.variance / np.maximum(profiles.n_cells, 1)[:, None])
    missing = np.maximum(median_of_others(profiles.mean) - profiles.mean - STANDARD_ERRORS * error, 0)
    off = np.maximum(median_of_others(fraction) - fraction, 0)
    unit = np.sqrt(profiles.variance.mean(axis=0)) + SD_FLOOR
    scores: np.ndarray = missing * off / unit * reliance_weights(mean_attributions)
    return scores


def order_genes(scores: np.ndarray, *, tie_breaker: np.ndarray) -> np.ndarray:
    """Genes of each type, best first, int [types, genes]; of equal scores the larger `tie_breaker` first."""
    return np.stack(
        [np.lexsort((np.arange(len(row)), -ties, -row)) for row, ties in zip(scores, tie_breaker, strict=True)]
    )


def ranking_overlap(table: pd.DataFrame, *, top: int = 10) -> pd.DataFrame:
    """Number of genes that two rankings have in common among the first `top` of a type, mean over types.

    `table`: marker tables of several rankings, one below the other. Returns rankings x rankings, in the order in which
    they first occur; the diagonal is `top`, or less where types have fewer genes.
    """
    rankings = list(pd.unique(table["ranking"]))
    best = table[table["rank"] <= top]
    sets = {key: set(genes) for key, genes in best.groupby(["ranking", "cell_type"], observed=True)["gene_symbol"]}
    cell_types = list(pd.unique(table["cell_type"]))
    shared = [
        [np.mean([len(sets[one, name] & sets[other, name]) for name in cell_types]) for other in rankings]
        for one in rankings
    ]
    return pd.DataFrame(shared, index=rankings, columns=rankings)


def top_markers(markers: pd.DataFrame, *, top: int, most: int) -> pd.DataFrame:
    """Rows of rank 1 to `top` of each type, types in the table's order; a gene comes once for each type it is of.

    `most`: rows over all types; where there would be more, fewer ranks are shown, at least one. A type without ranks
    has no rows.
    """
    cell_types = pd.unique(markers["cell_type"])
    top = max(1, min(top, most // max(len(cell_types), 1)))
    best = markers[(markers["rank"] <= top).fillna(False).astype(bool)]
    number = pd.Series(range(len(cell_types)), index=cell_types)
    order = np.lexsort((best["rank"].to_numpy(dtype=int), best["cell_type"].map(number).to_numpy(dtype=int)))
    return best.iloc[order].reset_index(drop=True)


def types_by_genes(markers: pd.DataFrame, column: str, genes: Sequence[str], cell_types: Sequence[str]) -> np.ndarray:
    """A column of the marker table as [genes, types]; NaN where the table has no value. A gene may come again."""
    shown = markers[markers["gene_symbol"].isin(list(genes))]
    wide = shown.pivot_table(index="gene_symbol", columns="cell_type", values=column, observed=True)
    return wide.reindex(index=list(genes), columns=list(cell_types)).to_numpy(dtype=float)


def group_edges(best: pd.DataFrame) -> list[tuple[str, int, int]]:
    """Type, first row and the row after the last of each type's rows. `best`: as `top_markers` gives."""
    names = best["cell_type"].to_numpy(dtype=object)
    starts = [row for row in range(len(names)) if row == 0 or names[row] != names[row - 1]]
    return [(str(names[start]), start, end) for start, end in zip(starts, [*starts[1:], len(names)], strict=True)]


def top_title(best: pd.DataFrame) -> str:
    """What `top_markers` shows, in words."""
    top = int(best["rank"].max()) if len(best) else 0
    return f"Top {top} markers of each type" if top > 1 else "Best marker of each type"
