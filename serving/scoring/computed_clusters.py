"""Clusters computed for a vote: many small ones, of the expression of all genes."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.errors import InputError, ParameterError

from .training_steps import load_clusters_step

RESOLUTIONS = ((5_000, 5.0), (20_000, 10.0), (40_000, 15.0), (100_000, 20.0), (200_000, 25.0))
"""Cells below which a resolution is taken, and that resolution; CellTypist's (Dominguez Conde et al. 2022, Science
376:eabl5197), which divide further than types differ."""
MOST_CELLS = 200_000
"""Clustering needs all cells at once: about 50 kB of memory for a cell with 2,000 genes."""


@dataclass(frozen=True, kw_only=True)
class ComputedClusters:
    """Leiden clusters to vote over, in place of given ones: `annotate(adata, over=ComputedClusters())`.

    `resolution`: more gives smaller clusters; None takes one by the number of cells, from 5 (below 5,000) to 30. The
    same cells and `seed` give the same clusters. Raises `ParameterError`, and `SetupError` (`EXTRA_MISSING`) without
    scanpy and igraph.
    """

    resolution: float | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if self.resolution is not None and not 0.01 <= self.resolution <= 100:
            raise ParameterError.of(
                "PARAMETER_INVALID",
                where="resolution",
                expected="from 0.01 to 100",
                found=f"{self.resolution:g}",
                remedy="Omit it for one by the number of cells.",
            )
        load_clusters_step()

    def check(self, n_cells: int) -> None:
        """Raise `InputError` (`INPUT_TOO_LARGE`) for more cells than are clustered at once."""
        if n_cells > MOST_CELLS:
            raise InputError.of(
                "INPUT_TOO_LARGE",
                where="clusters",
                expected=f"at most {MOST_CELLS:,} cells to cluster",
                found=f"{n_cells:,}",
                remedy="Cluster them where there is memory, and name the column with --over.",
            )

    def of(self, source: CellSource) -> pd.Series:
        """The cluster of each cell, in order, `0` the largest. `source`: cells whose values have passed the checks; all
        of them are in memory at once, as a sparse matrix.
        """
        resolution = resolution_for(source.n_obs) if self.resolution is None else self.resolution
        counts = source.load().astype(np.float32)
        counts.sum_duplicates()
        counts.eliminate_zeros()
        codes = load_clusters_step()(counts, resolution=resolution, seed=self.seed)
        names = pd.Index([str(number) for number in range(int(codes.max(initial=-1)) + 1)])
        return pd.Series(pd.Categorical.from_codes(codes, categories=names), index=source.obs.index)


def resolution_for(n_cells: int) -> float:
    """Resolution of Leiden, by the number of cells."""
    return next((resolution for below, resolution in RESOLUTIONS if n_cells < below), 30.0)
