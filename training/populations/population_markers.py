"""Markers of a new population, and their pictures: genes it surely has more of, or less, than every called type."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.new_populations import MARKER_COLUMNS, CalledCells, NewPopulations, table_of
from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.schemas.normalization import normalize

from ..figures.marker_figures import marker_figures
from ..markers.marker_ranking import SD_FLOOR, STANDARD_ERRORS, TypeProfiles, order_genes
from ..markers.marker_statistics import group_means, marker_statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MIN_LOG2_FOLD_CHANGE = 1.0
"""What counts as a marker of the population's own: at least twice the next type's mean."""
STATISTICS = ("mean_in", "mean_out", "fraction_in", "fraction_out", "log2_fold_change", "auc", "cohens_d")


def lead_over_types(own: TypeProfiles, types: TypeProfiles) -> tuple[np.ndarray, np.ndarray]:
    """How far one group surely lies above every type, and below every type, float64 [genes] each, 0 where it does not.

    The smallest difference of means over the types, less `STANDARD_ERRORS` standard errors of it, in units of the root
    of the mean variance within the group and the types, plus `SD_FLOOR` (as `marker_ranking.separation`, which takes
    the average type in place of the next one). `own`: [1, genes]; `types`: [types, genes].
    """
    error = np.sqrt(own.variance / own.n_cells[:, None] + types.variance / types.n_cells[:, None])
    unit = np.sqrt(np.concatenate([own.variance, types.variance]).mean(axis=0)) + SD_FLOOR

    def surely(difference: np.ndarray) -> np.ndarray:
        least: np.ndarray = np.maximum((difference - STANDARD_ERRORS * error).min(axis=0), 0) / unit
        return least

    return surely(own.mean - types.mean), surely(types.mean - own.mean)


def population_markers(
    x: sp.csr_matrix,
    codes: np.ndarray,
    profiles: TypeProfiles,
    fraction: np.ndarray,
    linear_mean: np.ndarray,
    *,
    name: str,
    cell_types: tuple[str, ...],
    gene_symbols: np.ndarray,
    gene_ids: np.ndarray,
    in_panel: np.ndarray,
    allowed: np.ndarray,
    donors: np.ndarray | None,
) -> pd.DataFrame:
    """All genes of one population, best first, with `MARKER_COLUMNS`.

    `x`: CSR, cells x genes, ln(1 + counts per 10,000), of the population and of called cells. `codes`: int [cells], 0
    for the population. `profiles`, `fraction`, `linear_mean` (counts per 10,000): [1 + types, genes], the population's
    first, then those of `cell_types`. `allowed`: bool [genes], which may have a rank.
    """
    own = TypeProfiles(profiles.mean[:1], profiles.variance[:1], profiles.n_cells[:1])
    types = TypeProfiles(profiles.mean[1:], profiles.variance[1:], profiles.n_cells[1:])
    above, below = lead_over_types(own, types)
    following = types.mean.argmax(axis=0)
    genes = np.arange(x.shape[1])
    statistics = marker_statistics(x, np.minimum(codes, 1), n_types=2, donors=donors, n_permutations=0, seed=0)
    change = np.log2((linear_mean[0] + 1) / (linear_mean[1:][following, genes] + 1))
    columns = {
        "population": np.full(len(genes), name, dtype=object),
        "rank": _ranks(above, change, allowed),
        "negative_rank": _ranks(below, -change, allowed & (below > 0)),
        "gene_symbol": gene_symbols,
        "gene_id": gene_ids,
        "in_panel": in_panel,
        "own": (above > 0) & (change >= MIN_LOG2_FOLD_CHANGE),
        "marker_score": above,
        **{key: statistics[key][0] for key in STATISTICS},
        "donor_fraction": statistics["donor_fraction"][0],
        "next_cell_type": np.array(cell_types, dtype=object)[following],
        "mean_next": types.mean[following, genes],
        "fraction_next": fraction[1:][following, genes],
        "log2_fold_change_next": change,
    }
    table = table_of(pd.DataFrame(columns), MARKER_COLUMNS)
    return table.sort_values("rank", kind="stable", ignore_index=True)


def _ranks(scores: np.ndarray, tie_breaker: np.ndarray, allowed: np.ndarray) -> "pd.Series[int]":
    ranks = np.zeros(len(scores), dtype=int)
    order = order_genes(scores[None, allowed], tie_breaker=tie_breaker[None, allowed])[0]
    ranks[np.flatnonzero(allowed)[order]] = np.arange(1, int(allowed.sum()) + 1)
    return pd.Series(ranks).where(ranks > 0).astype("Int64")


TOP = 10
"""Ranks of each population that any figure shows."""


def population_figures(found: NewPopulations, cells: CalledCells, *, seed: int = 0) -> "dict[str, Figure]":
    """The figures of `marker_figures`, with the populations first and the called types beside them; none without
    markers.

    `cells`: those that `found` was found in.
    """
    best = found.markers[(found.markers["rank"] <= TOP) & found.markers["own"]]
    if not len(best):
        return {}
    populations = list(found.populations["population"])
    called = np.flatnonzero(np.bincount(cells.best[~cells.unassigned], minlength=len(cells.cell_types)))
    names = [*populations, *(cells.cell_types[code] for code in called)]
    place = np.full(len(cells.cell_types), -1)
    place[called] = len(populations) + np.arange(len(called))
    codes = np.where(cells.unassigned, found.codes, place[cells.best])
    kept = np.flatnonzero(codes >= 0)
    genes = list(best["gene_symbol"].unique())
    columns = pd.Index(cells.gene_symbols).get_indexer(pd.Index(genes))
    x = normalize(cells.counts[kept], cells.library_size[kept])[:, columns]
    return marker_figures(
        _table(best, x, codes[kept], names, genes),
        x,
        codes[kept],
        cell_types=names,
        gene_symbols=genes,
        seed=seed,
    )


def _table(best: pd.DataFrame, x: sp.csr_matrix, codes: np.ndarray, names: list[str], genes: list[str]) -> pd.DataFrame:
    """A marker table of the genes in all populations and types; only a population's own genes have a rank in it."""
    mean, _ = group_means(x, codes, n_types=len(names))
    expressed = x.copy()
    expressed.data = (expressed.data > 0).astype(np.float64)
    fraction, _ = group_means(expressed, codes, n_types=len(names))
    rows = pd.DataFrame(
        {
            "cell_type": np.repeat(np.array(names, dtype=object), len(genes)),
            "gene_symbol": np.tile(np.array(genes, dtype=object), len(names)),
            "mean_in": mean.ravel(),
            "fraction_in": fraction.ravel(),
        }
    )
    ranks = best[["population", "gene_symbol", "rank"]].rename(columns={"population": "cell_type"})
    rows = rows.merge(ranks.astype({"cell_type": object, "gene_symbol": object}), how="left")
    return marker_table(**{str(name): column for name, column in rows.items()})
