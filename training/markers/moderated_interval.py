"""Intervals of few donors: variances that lend each other strength, so that t has more degrees of freedom.

With three donors a side, the variance of one gene is hardly known; that of many genes together is. Smyth 2004
(doi:10.2202/1544-6115.1027), as limma does it: genes' variances are drawn towards a common one, the more so the less
they differ beyond chance.
"""

from typing import Literal, NamedTuple

import numpy as np

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
