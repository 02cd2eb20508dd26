"""A sample of cells in which rare types are seen."""

import numpy as np


def draw_cells(codes: np.ndarray, *, at_most: int, per_type: int | None = None, seed: int) -> np.ndarray:
    """Numbers of at most `at_most` cells, rising; of more, the same number of each type as far as it has them.

    `codes`: int [cells]. `per_type`: the most of one type. Drawn without replacement.
    """
    shuffled = np.random.default_rng(seed).permutation(len(codes))
    by_type = shuffled[np.argsort(codes[shuffled], kind="stable")]
    place = np.concatenate([np.arange(size) for size in np.bincount(codes)]) if len(codes) else np.arange(0)
    if per_type is not None:
        by_type, place = by_type[place < per_type], place[place < per_type]
    return np.sort(by_type[np.argsort(place, kind="stable")[:at_most]])
