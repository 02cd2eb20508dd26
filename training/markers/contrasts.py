"""The donors that are compared with each other, the design, and intervals of their differences.

With three donors a side, the variance of one gene is hardly known; that of many genes together is. Smyth 2004
(doi:10.2202/1544-6115.1027), as limma does it: genes' variances are drawn towards a common one, the more so the less
they differ beyond chance.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from cellmark.schemas.errors import ParameterError

MIN_GENES = 20
"""With fewer genes there is no prior, and t is the ordinary one."""


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


class VariancePrior(NamedTuple):
    """`df`: how many degrees of freedom the common variance is worth, may be infinite; 0 for no prior."""

    df: float
    variance: float


class Interval(NamedTuple):
    """Per gene, float64 [genes]; NaN where there is no spread to judge by."""

    low: np.ndarray
    high: np.ndarray
    p_value: np.ndarray


def moderated_interval(
    change: np.ndarray, variance: np.ndarray, *, df: int, scale: float, confidence: float = 0.95
) -> Interval:
    """Interval of each gene's change and the p-value of no change.

    `change`, `variance`: [genes], of one type in one comparison; `df`, `scale`: as of `donor_spread`.
    """
    from scipy import stats

    prior = variance_prior(variance, df)
    # Not more than all genes together have.
    total = min(prior.df + df, df * len(variance)) if prior.df else df
    shrunk = variance if not prior.df else np.full(len(variance), prior.variance)
    if prior.df and np.isfinite(prior.df):
        shrunk = (prior.df * prior.variance + df * variance) / (prior.df + df)
    error = np.sqrt(np.where(shrunk > 0, shrunk, np.nan) * scale)
    reach = stats.t.ppf((1 + confidence) / 2, total) * error
    return Interval(change - reach, change + reach, 2 * stats.t.sf(np.abs(change) / error, total))


def variance_prior(variance: np.ndarray, df: int) -> VariancePrior:
    """The scaled F distribution that variances of many genes were drawn from, by moments of their logarithm (Smyth
    2004, section 6.2). `variance`: [genes], each with `df` degrees of freedom.
    """
    from scipy.special import digamma, polygamma

    positive = variance > 0
    if positive.sum() < MIN_GENES:
        return VariancePrior(0.0, np.nan)
    # As limma: a variance of zero is a very small one.
    known = np.maximum(variance, 1e-5 * np.median(variance[positive]))
    logs = np.log(known) - digamma(df / 2) + np.log(df / 2)
    excess = logs.var(ddof=1) - float(polygamma(1, df / 2))
    if excess <= 0:
        return VariancePrior(np.inf, float(np.exp(logs.mean())))
    prior_df = 2 * inverse_trigamma(excess)
    return VariancePrior(prior_df, float(np.exp(logs.mean() + digamma(prior_df / 2) - np.log(prior_df / 2))))


def inverse_trigamma(value: float) -> float:
    """The x > 0 with trigamma(x) = `value`."""
    from scipy.optimize import brentq
    from scipy.special import polygamma

    # 1/x < trigamma(x) < 1/x + 1/x**2 brackets it.
    low, high = 1 / value, 0.5 / value + np.sqrt(0.25 / value**2 + 1 / value)
    return float(brentq(lambda x: polygamma(1, x) - value, low, high, xtol=1e-12, rtol=1e-10))


ALL_OTHERS = "all others"
NO_DONORS = "no donors were named: cells of one donor are not independent, so no interval can be had from them"


@dataclass(frozen=True)
class Samples:
    """The cells of one donor in one condition are a sample; without donors, those of one condition.

    `numbers`: int [cells]. `conditions`, `donors`: of each sample; `donors` is None where none were given.
    """

    numbers: np.ndarray
    conditions: tuple[str, ...]
    donors: tuple[str, ...] | None


@dataclass(frozen=True)
class Contrast:
    """One comparison. `before`, `after`: of each donor in the reference and in the condition, its samples; in the
    design `paired` donor for donor the same. `design` is None where no interval can be had, and `reason` says why.
    """

    condition: str
    reference: str
    before: tuple[tuple[int, ...], ...]
    after: tuple[tuple[int, ...], ...]
    design: Design | None
    reason: str | None = None

    def samples(self, donors: tuple[tuple[int, ...], ...]) -> list[int]:
        """Numbers of all samples of one side (`before` or `after`)."""
        return [number for of in donors for number in of]


def take_samples(conditions: np.ndarray, donors: np.ndarray | None) -> Samples:
    """Samples in the order of their conditions' and donors' names. `conditions`, `donors`: str [cells]."""
    keys = [conditions] if donors is None else [conditions, donors]
    found, numbers = np.unique(np.stack(keys, axis=1), axis=0, return_inverse=True)
    return Samples(
        numbers.ravel(),
        tuple(map(str, found[:, 0])),
        None if donors is None else tuple(map(str, found[:, 1])),
    )


def plan_contrasts(samples: Samples, *, reference: str | None) -> list[Contrast]:
    """Every condition against the reference; without one, each of three or more against all others together.

    Of two conditions without a reference, the first by name is it. Donors that are most of them in both sides are
    compared with themselves (`paired`), leaving out those in one side only. Where each condition is one donor
    (conditions are the donors), a donor is compared with the others as one that might be of their kind (`single`).

    Raises `ParameterError` for fewer than two conditions and an unknown reference.
    """
    names = list(dict.fromkeys(samples.conditions))
    if len(names) < 2:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="by",
            expected="a column with at least two conditions",
            found=f"only {', '.join(names)}",
            remedy="Name another column with --by.",
        )
    if reference is not None and reference not in names:
        raise ParameterError.not_a_choice("reference", choices=f"one of {', '.join(names)}", found=repr(reference))
    if reference is None and len(names) == 2:
        reference = names[0]
    return [_contrast(samples, name, reference) for name in names if name != reference]


def _contrast(samples: Samples, condition: str, reference: str | None) -> Contrast:
    after = [number for number, name in enumerate(samples.conditions) if name == condition]
    before = [
        number
        for number, name in enumerate(samples.conditions)
        if (name != condition if reference is None else name == reference)
    ]
    against = ALL_OTHERS if reference is None else reference
    if samples.donors is None:
        alone = tuple((number,) for number in before)
        return Contrast(condition, against, alone, ((after[0],),), None, NO_DONORS)
    of_before, of_after = _by_donor(samples.donors, before), _by_donor(samples.donors, after)
    both = [donor for donor in of_before if donor in of_after]
    if len(both) >= MIN_DONORS and 2 * len(both) > len(of_before.keys() | of_after.keys()):
        pairs = tuple(of_before[donor] for donor in both), tuple(of_after[donor] for donor in both)
        return Contrast(condition, against, *pairs, "paired")
    is_donor = samples.conditions == samples.donors
    design: Design = "single" if is_donor else "independent"
    return Contrast(condition, against, tuple(of_before.values()), tuple(of_after.values()), design)


def _by_donor(donors: Sequence[str], numbers: Sequence[int]) -> dict[str, tuple[int, ...]]:
    found: dict[str, tuple[int, ...]] = {}
    for number in numbers:
        found[donors[number]] = (*found.get(donors[number], ()), number)
    return found
