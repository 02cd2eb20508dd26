"""Cells that lie among those of a new population: of an unknown type most cells may have been called."""

import numpy as np

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
