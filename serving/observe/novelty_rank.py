"""How novel cells are among the cells that the model was tested on: comparable between models, whose scores are not.

A cell's rank is the share of held-out cells that are less novel: from 0 to 1, 0.5 on average where nothing shifted. It
is known as far as the bundle's quantiles tell, that is by buckets.
"""

import numpy as np

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError
from cellmark.schemas.reference_profile import LEVELS, read_profile

from .count_values import Buckets
from .metrics import RANKS


def novelty_buckets(bundle: Bundle) -> Buckets | None:
    """Counts novelty by its rank among the bundle's held-out cells; None where the bundle does not have them."""
    try:
        quantiles = read_profile(bundle).overall.quantiles("novelty")
    except ModelError:
        return None
    return None if quantiles is None else buckets_of_ranks(quantiles)


def buckets_of_ranks(quantiles: np.ndarray) -> Buckets:
    """The buckets of a histogram by `RANKS`. `quantiles`: of the held-out cells' novelty at `LEVELS`, ascending."""
    edges = np.interp(RANKS[:-1], LEVELS, quantiles)
    bounds = np.array([0.0, *RANKS, 1.0])
    return Buckets(edges.tolist(), worth=((bounds[1:-1] + bounds[:-2]) / 2).tolist())
