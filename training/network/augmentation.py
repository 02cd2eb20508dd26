"""Training cells as poorer data would show them: fewer counts, as from shallow sequencing, and genes not measured."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import scipy.sparse as sp
import torch

from cellmark.schemas.normalization import COUNTS_PER

from .fit_settings import FitSettings

SMALLEST_UNIT = 1e-6
"""Counts per 10,000 of one count in a cell of 10 billion counts, which none has: where values are no counts at all."""


@dataclass(frozen=True)
class Augmentation:
    """What is done to cells in training, drawn anew for every cell at every pass.

    `share`: of the cells that are thinned, and, drawn independently, of those that lose genes; 0 for neither.
    `least_counts`: of a thinned cell's counts, the smallest share that is left (log-uniform between it and 1; 1 for
    no thinning).
    `most_missing`: of a cell's genes, the largest share that is lost (uniform between 0 and it; 0 for none).
    """

    share: float = 0.0
    least_counts: float = 1.0
    most_missing: float = 0.0

    @classmethod
    def of(cls, settings: FitSettings) -> Self:
        return cls(settings.augmented, settings.least_counts, settings.most_missing)

    @property
    def thins(self) -> bool:
        return self.share > 0 and self.least_counts < 1

    @property
    def drops(self) -> bool:
        return self.share > 0 and self.most_missing > 0

    def depths(self, n_cells: int, generator: np.random.Generator) -> np.ndarray:
        """The share of its counts that each cell keeps, [cells], 1 for most."""
        drawn = np.exp(generator.uniform(np.log(self.least_counts), 0, n_cells))
        return np.where(generator.random(n_cells) < self.share, drawn, 1.0)

    def missing(self, shape: tuple[int, int], generator: np.random.Generator) -> np.ndarray:
        """The genes that each cell loses, bool, cells x genes."""
        n_cells, _ = shape
        lost = generator.uniform(0, self.most_missing, n_cells) * (generator.random(n_cells) < self.share)
        drawn: np.ndarray = generator.random(shape, dtype=np.float32) < lost[:, None].astype(np.float32)
        return drawn


def thin(x: sp.csr_matrix, depths: np.ndarray, generator: np.random.Generator) -> sp.csr_matrix:
    """Cells as if a share of their counts had been sequenced: each count is kept with that probability.

    `x`: CSR, float32, cells x genes of a panel, ln(1 + counts per 10,000). `depths`: the share of each cell, [cells]; a
    cell of depth 1 stays as it is. Returns a new CSR of the same pattern and scale, in which lost counts are stored
    zeros; each cell is normalised by its own thinned library size.

    Counts come back from `x` itself: a cell's smallest value is taken for one count (of the panels that training
    chooses each of 6,816 real cells had such a gene). Where it is two, counts are lost in pairs.
    """
    data = x.data.copy()
    lengths = np.diff(x.indptr)
    rows = np.flatnonzero((depths < 1) & (lengths > 0))
    if len(rows) == 0:
        return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape)
    of_row = lengths[rows]
    entries = np.repeat(x.indptr[rows] - np.r_[0, np.cumsum(of_row)[:-1]], of_row) + np.arange(of_row.sum())
    starts = np.r_[0, np.cumsum(of_row)[:-1]]
    per_10_000 = np.expm1(data[entries].astype(np.float64))
    unit = np.minimum.reduceat(np.where(per_10_000 > 0, per_10_000, np.inf), starts)
    unit = np.maximum(unit, SMALLEST_UNIT)
    counts = np.rint(per_10_000 / np.repeat(unit, of_row)).astype(np.int64)
    kept = generator.binomial(counts, np.repeat(depths[rows], of_row))
    elsewhere = np.rint(COUNTS_PER / unit).astype(np.int64) - np.add.reduceat(counts, starts)
    library = np.add.reduceat(kept, starts) + generator.binomial(np.maximum(elsewhere, 0), depths[rows])
    data[entries] = np.log1p(kept * np.repeat(COUNTS_PER / np.maximum(library, 1), of_row))
    return sp.csr_matrix((data, x.indices, x.indptr), shape=x.shape)


def without(inputs: torch.Tensor, missing: np.ndarray, baseline: torch.Tensor) -> torch.Tensor:
    """`inputs` (cells x genes) in which genes marked in `missing` have their value in `baseline` [genes]; in place."""
    lost = torch.from_numpy(missing).to(inputs.device)
    return torch.where(lost, baseline, inputs, out=inputs)
