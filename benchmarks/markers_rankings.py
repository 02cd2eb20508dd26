"""Rankings of the same evidence, for `markers_transfer.py`: `evidence` is the default, the others were not taken."""

from collections.abc import Callable

import numpy as np

from cellmark.training.markers.complementary_genes import REDUNDANCY, complementary_genes, ranked_scores
from cellmark.training.markers.marker_ranking import (
    COEFFICIENT_POWER,
    TypeProfiles,
    distinct_scores,
    evidence_scores,
    order_genes,
    own_share,
    reliance_weights,
    separation,
)

Evidence = dict[str, np.ndarray]
"""What one training gives: `attributions`, `coefficients`, `mean`, `variance`, [types, genes]; `n_cells`, `types`,
`genes`.
"""
Scores = Callable[[Evidence], np.ndarray]
N_GENES = 10


def profiles_of(evidence: Evidence) -> TypeProfiles:
    return TypeProfiles(evidence["mean"], evidence["variance"], evidence["n_cells"])


def apart(evidence: Evidence) -> np.ndarray:
    return separation(profiles_of(evidence))


def product(evidence: Evidence) -> np.ndarray:
    return apart(evidence) * reliance_weights(evidence["attributions"])


def with_coefficients(evidence: Evidence) -> np.ndarray:
    return product(evidence) * reliance_weights(evidence["coefficients"], power=COEFFICIENT_POWER)


def with_share(scores: Scores) -> Scores:
    def found(evidence: Evidence) -> np.ndarray:
        values = scores(evidence)
        return np.where(values > 0, values * own_share(profiles_of(evidence)), values)

    return found


def all_(evidence: Evidence) -> np.ndarray:
    return evidence_scores(evidence["attributions"], evidence["coefficients"], profiles_of(evidence))


def distinct(evidence: Evidence) -> np.ndarray:
    return distinct_scores(profiles_of(evidence))


def plain(scores: Scores) -> Scores:
    def rank(evidence: Evidence) -> np.ndarray:
        values = scores(evidence)
        return order_genes(values, tie_breaker=values)

    return rank


def complementary(scores: Scores, penalty: float) -> Scores:
    """All places filled so that genes do not repeat each other."""

    def rank(evidence: Evidence) -> np.ndarray:
        return complementary_genes(scores(evidence), profiles_of(evidence), n_genes=N_GENES, penalty=penalty)[0]

    return rank


def first_then(scores: Scores, rest: Scores, n_first: int) -> Scores:
    """The first places filled so, all others in the order of `rest`."""

    def rank(evidence: Evidence) -> np.ndarray:
        first = scores(evidence)
        found = ranked_scores(first, rest(evidence), profiles_of(evidence), n_first=n_first)
        return order_genes(found, tie_breaker=first)

    return rank


OURS: dict[str, Scores] = {
    "separation alone": plain(apart),
    "product, .6 (until now)": complementary(product, 0.6),
    "product, .9": complementary(product, REDUNDANCY),
    "with coefficients, .9": complementary(with_coefficients, REDUNDANCY),
    "with own share too, .9": complementary(all_, REDUNDANCY),
    "3, then product x share": first_then(all_, with_share(product), 3),
    "2, then sep. x share": first_then(all_, distinct, 2),
    "evidence": first_then(all_, distinct, 3),
    "5, then sep. x share": first_then(all_, distinct, 5),
}
