"""Pictures of new populations: their markers in them and in every called type."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.new_populations import CalledCells, NewPopulations
from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.schemas.normalization import normalize

from ..figures.marker_figures import marker_figures
from ..markers.marker_statistics import group_means

if TYPE_CHECKING:
    from matplotlib.figure import Figure

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
