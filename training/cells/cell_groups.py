"""Groups of cells: a sample in which rare types are seen, and the sums over each type's cells."""

import numpy as np
import scipy.sparse as sp


def draw_cells(
    codes: np.ndarray, *, at_most: int, per_type: int | None = None, at_least: int | None = None, seed: int
) -> np.ndarray:
    """Numbers of at most `at_most` cells, rising; of more, the same number of each type as far as it has them.

    `codes`: int [cells]. `per_type`: the most of one type. `at_least`: of each type so many, as far as it has them, and
    the rest by chance, so that common types stay common. Drawn without replacement.
    """
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_type = np.argsort(codes[shuffled], kind="stable")
    place = np.concatenate([np.arange(size) for size in np.bincount(codes)]) if len(codes) else np.arange(0)
    if per_type is not None:
        by_type, place = by_type[place < per_type], place[place < per_type]
    order = np.argsort(place, kind="stable") if at_least is None else np.lexsort((by_type, place >= at_least))
    return np.sort(shuffled[by_type[order[:at_most]]])


def membership(codes: np.ndarray, n_types: int) -> sp.csr_matrix:
    """1 where a cell is of a type, CSR, float64, types x cells. `codes`: int [cells], from 0."""
    cells = np.arange(len(codes))
    return sp.csr_matrix((np.ones(len(codes)), (codes, cells)), shape=(n_types, len(codes)))
