"""How stable the first markers are when cells or donors are drawn anew."""

from collections.abc import Sequence

import numpy as np
import scipy.sparse as sp

from ..network.contributions import weighted_attributions
from ..network.folded_network import FoldedNetwork
from .complementary_genes import ranked_scores
from .marker_ranking import distinct_scores, evidence_scores, type_profiles

MIN_DONORS = 3
"""With fewer donors than this cells are drawn: two donors resampled are half the time one."""


def draw_weights(codes: np.ndarray, donors: np.ndarray | None, *, n_draws: int, n_types: int, seed: int) -> np.ndarray:
    """How often each draw takes each cell, float32 [draws, cells].

    With `MIN_DONORS` donors or more whole donors are drawn with replacement, else each type's cells among themselves.
    """
    generator = np.random.default_rng(seed)
    if donors is not None:
        names, number = np.unique(donors, return_inverse=True)
        if len(names) >= MIN_DONORS:
            drawn = generator.multinomial(len(names), np.full(len(names), 1 / len(names)), size=n_draws)
            return drawn[:, number].astype(np.float32)
    weights = np.zeros((n_draws, len(codes)), dtype=np.float32)
    for code in range(n_types):
        cells = np.flatnonzero(codes == code)
        if len(cells):
            weights[:, cells] = generator.multinomial(len(cells), np.full(len(cells), 1 / len(cells)), size=n_draws)
    return weights


def marker_stability(
    members: Sequence[FoldedNetwork],
    x: sp.csr_matrix,
    baselines: np.ndarray,
    codes: np.ndarray,
    calls: np.ndarray,
    coefficients: np.ndarray,
    *,
    donors: np.ndarray | None = None,
    allowed: np.ndarray | None = None,
    n_draws: int = 50,
    top: int = 10,
    seed: int,
) -> np.ndarray:
    """Fraction of draws in which a gene is among the `top` of the ranking `evidence`, [types, genes].

    The networks and `coefficients` ([types, genes]) stay as they are: the draws tell how much the choice hangs on the
    cells (or donors) at hand, not on how training went. Draws that leave a type without a correctly called cell do not
    count for it; a type that has none in any draw is NaN. `allowed`: bool [genes], which may be ranked. Other arguments
    as in `type_means`.
    """
    n_types = members[0].n_types
    weights = draw_weights(codes, donors, n_draws=n_draws, n_types=n_types, seed=seed)
    attributions, n_called = weighted_attributions(members, x, baselines, codes, calls, weights=weights)
    profiles = type_profiles(x, codes, n_types, weights=weights)
    evidence, distinct = evidence_scores(attributions, coefficients, profiles), distinct_scores(profiles)
    if allowed is not None:
        evidence, distinct = (np.where(allowed, scores, -np.inf) for scores in (evidence, distinct))
    scores = ranked_scores(evidence, distinct, profiles)
    best = np.argsort(-scores, axis=-1, kind="stable")[..., :top]
    selected = np.zeros(scores.shape, dtype=bool)
    np.put_along_axis(selected, best, True, axis=-1)
    selected &= scores > 0
    counted = n_called > 0
    times = (selected & counted[..., None]).sum(axis=0)
    n_counted = counted.sum(axis=0)[:, None]
    return np.where(n_counted > 0, times / np.maximum(n_counted, 1), np.nan)
