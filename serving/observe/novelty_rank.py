"""How novel cells are among the cells that the model was tested on: comparable between models, whose scores are not."""

from collections.abc import Sequence

import numpy as np

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import ModelError
from cellmark.schemas.reference_profile import read_profile


def rank_of_novelty(novelty: np.ndarray, quantiles: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Share of held-out cells that are less novel, float64 [cells], from 0 to 1: 0.5 on average where nothing shifted.

    `quantiles`: of the held-out cells' novelty at `levels`, ascending. Between two levels it is interpolated; below the
    lowest it is half of that level, above the highest halfway to 1.
    """
    outside = (levels[0] / 2, (levels[-1] + 1) / 2)
    ranks = np.interp(novelty, quantiles, levels, left=outside[0], right=outside[1])
    return np.where(np.isnan(novelty), np.nan, ranks)


def novelty_quantiles(bundle: Bundle) -> tuple[np.ndarray, np.ndarray] | None:
    """Quantiles of the held-out cells' novelty and their levels; None where the bundle has none."""
    try:
        profile = read_profile(bundle)
    except ModelError:
        return None
    quantiles = profile.overall.quantiles("novelty")
    return None if quantiles is None else (quantiles, as_array(profile.levels))


def as_array(values: Sequence[float]) -> np.ndarray:
    return np.asarray(values, dtype=np.float64)
