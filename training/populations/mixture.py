"""Whether a group looks like a mixture of two types, as doublets do, and the cells that lie among its own."""

from typing import NamedTuple

import numpy as np

WEIGHTS = np.arange(0.2, 0.81, 0.1)
"""Shares of the first type that are tried."""
MIN_LOG_MEAN = 0.1
"""Genes with less mean ln(1 + counts per 10,000) everywhere say nothing."""


MAX_RATIO = 0.85
"""A group is like a mixture when the mixture leaves at most this share of what its nearest type leaves. In
`benchmarks/novel.py` groups of doublets have 0.33 to 0.88, types among others 0.84 (CD8 T between CD4 T and NK) to
1.02."""


class Mixture(NamedTuple):
    """`types`: numbers of the two. `weight`: share of the first. `distance`: root mean square over genes of what is
    left in ln(1 + counts per 10,000). `single`: the same of the nearest type alone.
    """

    types: tuple[int, int]
    weight: float
    distance: float
    single: float

    @property
    def is_close(self) -> bool:
        return self.distance <= MAX_RATIO * self.single


def nearest_mixture(own: np.ndarray, types: np.ndarray) -> Mixture | None:
    """The mixture of two types that comes nearest to a group; None with fewer than two types.

    `own`: mean counts per 10,000 of the group, [genes]; `types`: of each type, [types, genes]. Counts of two cells in
    one droplet add up, so it is counts that are mixed, and logarithms that are compared.
    """
    if len(types) < 2:
        return None
    kept = np.log1p(np.vstack([own[None], types])).max(axis=0) >= MIN_LOG_MEAN
    own, types = own[kept], types[:, kept]
    target = np.log1p(own)

    def distance(profile: np.ndarray) -> float:
        return float(np.sqrt(np.mean((np.log1p(profile) - target) ** 2)))

    single = min(distance(profile) for profile in types)
    best = min(
        (distance(weight * types[first] + (1 - weight) * types[second]), first, second, float(weight))
        for first in range(len(types))
        for second in range(first)
        for weight in WEIGHTS
    )
    return Mixture((best[1], best[2]), best[3], best[0], single)


N_NEIGHBORS = 15
SHARE = 0.5
"""Factor on the median share of neighbours in the population that its own cells have: another cell with at least that
much is like them."""


def cells_alike(points: np.ndarray, codes: np.ndarray, asked: np.ndarray, *, n_populations: int) -> list[np.ndarray]:
    """Numbers of the cells, among those asked about, that are like each population.

    `points`: [cells, components]; `codes`: int [cells], the population, -1 for none; `asked`: bool [cells]. Of the
    nearest 15 of such a cell at least `SHARE` as many are of the population as of one of its own cells, and at least
    one.
    """
    from sklearn.neighbors import NearestNeighbors

    n_neighbors = min(N_NEIGHBORS, len(points) - 1)
    if n_neighbors < 1:
        return [np.empty(0, dtype=int)] * n_populations
    found = NearestNeighbors(n_neighbors=n_neighbors).fit(points).kneighbors(return_distance=False)
    alike = []
    for number in range(n_populations):
        share = (codes[found] == number).mean(axis=1)
        typical = np.median(share[codes == number])
        alike.append(np.flatnonzero(asked & (share > 0) & (share >= SHARE * typical)))
    return alike
