"""The first genes of a type such that each adds to those before it, and does not repeat them."""

import numpy as np

from .marker_ranking import SD_FLOOR, TypeProfiles

REDUNDANCY = 0.9
"""How much of its score a gene loses that separates a type from the same types as the genes before it."""
N_FIRST = 3
"""Places that are filled so. More would choose other genes whenever cells are drawn anew (docs/methods/markers.md)."""
N_POOL = 60
"""Genes of a type that compete for the first places: weaker ones are no markers, however little they repeat."""


def complementary_genes(
    scores: np.ndarray, profiles: TypeProfiles, *, n_genes: int, penalty: float = REDUNDANCY
) -> tuple[np.ndarray, np.ndarray]:
    """The first genes of each type such that each adds to those before it: columns and scores, [..., types, n_genes].

    The best by `scores` is the first. Each next one is the best by its score times 1 - `penalty` x its mean similarity
    to the genes before it: the cosine between how far two genes set the type above each other type, in standard
    deviations. So of equally good genes that one comes first which separates the type from *other* types than the
    genes before it do. Of a type's `N_POOL` best genes; scores of 0 or less stay as they are. The scores returned never
    rise. `scores`: [..., types, genes].
    """
    n_types, n_all = scores.shape[-2:]
    n_genes, n_pool = min(n_genes, n_all), min(max(N_POOL, n_genes), n_all)
    chosen = np.empty((*scores.shape[:-1], n_genes), dtype=int)
    values = np.empty(chosen.shape)
    for code in range(n_types):
        pool = np.argsort(-scores[..., code, :], axis=-1, kind="stable")[..., :n_pool]
        own = np.take_along_axis(scores[..., code, :], pool, axis=-1)
        mean, variance = (
            np.take_along_axis(of, pool[..., None, :], axis=-1) for of in (profiles.mean, profiles.variance)
        )
        spread = np.sqrt((variance[..., [code], :] + variance) / 2) + SD_FLOOR
        above = np.maximum(mean[..., [code], :] - mean, 0) / spread  # of the type itself 0
        length = np.sqrt((above**2).sum(axis=-2, keepdims=True))
        above = np.divide(above, length, out=np.zeros_like(above), where=length > 0)
        similar = np.zeros_like(own)
        free = np.ones(own.shape, dtype=bool)
        for place in range(n_genes):
            rest = np.where(own > 0, own * (1 - penalty * similar / max(place, 1)), own)
            best = np.where(free, rest, -np.inf).argmax(axis=-1)[..., None]
            # Where only genes that may not be ranked are left, the first free one, so that none comes twice.
            best = np.where(np.take_along_axis(free, best, axis=-1), best, free.argmax(axis=-1)[..., None])
            np.put_along_axis(free, best, False, axis=-1)
            chosen[..., code, place] = np.take_along_axis(pool, best, axis=-1)[..., 0]
            values[..., code, place] = np.take_along_axis(rest, best, axis=-1)[..., 0]
            of_best = np.take_along_axis(above, best[..., None, :], axis=-1)
            similar += (above * of_best).sum(axis=-2)
    return chosen, np.minimum.accumulate(values, axis=-1)


def ranked_scores(
    evidence: np.ndarray,
    distinct: np.ndarray,
    profiles: TypeProfiles,
    *,
    n_first: int = N_FIRST,
    penalty: float = REDUNDANCY,
) -> np.ndarray:
    """What the ranking `evidence` orders by, [..., types, genes]: `distinct`, with the first genes raised above it.

    The first `n_first` genes are those that `complementary_genes` chooses by `evidence`, in its order: each has its own
    score, or the least one above those after it. Where nothing speaks for a gene (evidence of 0 or less) none is
    raised. `evidence`, `distinct`: [..., types, genes], -inf for genes that may not be ranked.
    """
    chosen, _ = complementary_genes(evidence, profiles, n_genes=n_first, penalty=penalty)
    speaks = np.take_along_axis(evidence, chosen, axis=-1) > 0
    own = np.take_along_axis(distinct, chosen, axis=-1)
    found = distinct.copy()
    np.put_along_axis(found, chosen, np.where(speaks, -np.inf, own), axis=-1)
    least = found.max(axis=-1)
    for place in reversed(range(chosen.shape[-1])):
        raised = np.maximum(own[..., place], np.nextafter(least, np.inf))
        own[..., place] = np.where(speaks[..., place], raised, own[..., place])
        least = np.maximum(least, own[..., place])
    np.put_along_axis(found, chosen, own, axis=-1)
    return found
