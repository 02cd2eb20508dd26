"""What whole donors or batches left out say of the next one: a mean and an interval for a share of cells."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.special import stdtrit

FEWEST_BATCHES = 3
LEVEL = 0.9


class NextBatch(NamedTuple):
    """`mean` of `n_batches` shares; `low`, `high`: where that of a further batch lies with probability `LEVEL`."""

    mean: float
    low: float
    high: float
    n_batches: int


def next_batch(shares: Iterable[float]) -> NextBatch | None:
    """Prediction interval of Student's t for one further share; None for fewer than `FEWEST_BATCHES`.

    `shares`: one for each batch that was left out, 0 to 1. Batches, not cells, are what repeats: however many cells
    each has, three batches say little of a fourth, and the interval is wide. It is made on the scale
    asin(sqrt(share)), on which shares near 0 and 1 vary as others do (Freeman and Tukey 1950,
    doi:10.1214/aoms/1177729756) and which leads to no share below 0 or above 1.
    """
    given = np.array(list(shares), dtype=np.float64)
    if len(given) < FEWEST_BATCHES:
        return None
    angles = np.arcsin(np.sqrt(given))
    reach = float(stdtrit(len(given) - 1, (1 + LEVEL) / 2) * angles.std(ddof=1) * np.sqrt(1 + 1 / len(given)))
    low, high = np.sin(np.clip(angles.mean() + np.array([-reach, reach]), 0, np.pi / 2)) ** 2
    return NextBatch(float(given.mean()), float(low), float(high), len(given))
