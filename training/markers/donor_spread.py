"""How much donors differ: the variance that the interval of a change rests on, for three designs."""

from typing import Literal, NamedTuple

import numpy as np

Design = Literal["independent", "paired", "single"]
MIN_DONORS = 2


class Spread(NamedTuple):
    """`variance`: of a donor, [genes]; `df`: its degrees of freedom; the change's variance is `variance` x `scale`."""

    variance: np.ndarray
    df: int
    scale: float


def donor_spread(reference: np.ndarray, condition: np.ndarray, *, design: Design) -> Spread:
    """The spread of one value per donor and gene.

    `reference`, `condition`: [donors, genes], with as many donors as `enough_donors` asks for. By design:

    - `independent`: within both groups, pooled.
    - `paired`: row for row the same donors, of their differences.
    - `single`: one donor against a group that it might have come from, whose spread alone is known (Crawford and Howell
      1998, doi:10.1076/clin.12.4.482.7241).
    """
    n_reference, n_condition = len(reference), len(condition)
    if design == "paired":
        return Spread((condition - reference).var(axis=0, ddof=1), n_condition - 1, 1 / n_condition)
    within = sum(((values - values.mean(axis=0)) ** 2).sum(axis=0) for values in (reference, condition))
    df = n_reference + n_condition - 2
    return Spread(np.asarray(within) / df, df, 1 / n_reference + 1 / n_condition)


def enough_donors(n_reference: int, n_condition: int, design: Design | None) -> bool:
    """Whether there is a spread to be had, when donors were named."""
    return n_reference >= MIN_DONORS and (n_condition >= MIN_DONORS or design == "single")
