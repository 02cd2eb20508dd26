import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from cellmark.training.markers.contrasts import (
    MIN_GENES,
    donor_spread,
    inverse_trigamma,
    moderated_interval,
    variance_prior,
)


@pytest.mark.parametrize("design", ["independent", "paired"])
def test_few_genes_have_the_ordinary_t_of_scipy(design: str) -> None:
    generator = np.random.default_rng(0)
    before, after = generator.normal(size=(4, MIN_GENES - 1)), generator.normal(0.5, 2, (4, MIN_GENES - 1))
    spread = donor_spread(before, after, design=design)  # type: ignore[arg-type]
    found = moderated_interval(
        after.mean(axis=0) - before.mean(axis=0), spread.variance, df=spread.df, scale=spread.scale, confidence=0.9
    )
    test = stats.ttest_rel(after, before) if design == "paired" else stats.ttest_ind(after, before)
    expected = test.confidence_interval(0.9)
    np.testing.assert_allclose(found.low, expected.low)
    np.testing.assert_allclose(found.high, expected.high)
    np.testing.assert_allclose(found.p_value, test.pvalue)


def test_the_prior_is_limmas() -> None:
    """Expected: `squeezeVar` of the Python port of limma in inmoose 0.9.1, on the same 40 variances."""
    variance = 0.2 * stats.f.rvs(4, 6, size=40, random_state=3)
    np.testing.assert_allclose(variance[:3], [0.453397, 0.187982, 0.246438], atol=1e-6)
    prior = variance_prior(variance, 4)
    assert prior.df == pytest.approx(5.093383255556139, rel=1e-9)
    assert prior.variance == pytest.approx(0.15411509221432776, rel=1e-9)
    found = moderated_interval(np.zeros(40), variance, df=4, scale=0.5)
    reach = stats.t.ppf(0.975, 4 + 5.093383255556139) * np.sqrt(0.5 * np.array([0.28576335, 0.16901231, 0.19472611]))
    np.testing.assert_allclose(found.high[:3], reach, rtol=1e-6)


def test_the_prior_that_variances_were_drawn_from_is_found() -> None:
    variance = 0.3 * stats.f.rvs(5, 8, size=40_000, random_state=1)
    prior = variance_prior(variance, 5)
    assert prior.df == pytest.approx(8, rel=0.1)
    assert prior.variance == pytest.approx(0.3, rel=0.03)


def test_variances_that_differ_by_chance_alone_become_one() -> None:
    """Not more degrees of freedom than all genes together have: 50 x 3, where t is about normal."""
    variance = np.full(50, 2.0)
    assert variance_prior(variance, 3).df == np.inf
    found = moderated_interval(np.full(50, 1.0), variance, df=3, scale=0.5)
    shrunk = variance_prior(variance, 3).variance
    np.testing.assert_allclose(found.high - found.low, 2 * stats.t.ppf(0.975, 150) * np.sqrt(shrunk / 2))


@pytest.mark.parametrize("value", [1e-4, 0.01, 0.5, 3.0, 100.0, 1e6])
def test_trigamma_is_inverted(value: float) -> None:
    assert polygamma(1, inverse_trigamma(value)) == pytest.approx(value, rel=1e-8)


def test_p_values_without_a_change_are_uniform_for_genes_of_unequal_spread() -> None:
    generator = np.random.default_rng(2)
    sd = np.sqrt(0.3 * 8 / generator.chisquare(8, 20_000))
    before, after = generator.normal(0, sd, (3, 20_000)), generator.normal(0, sd, (3, 20_000))
    spread = donor_spread(before, after, design="independent")
    p_value = moderated_interval(
        after.mean(axis=0) - before.mean(axis=0), spread.variance, df=spread.df, scale=spread.scale
    ).p_value
    for alpha in (0.001, 0.01, 0.05, 0.3):
        assert (p_value < alpha).mean() == pytest.approx(alpha, abs=4 * np.sqrt(alpha / 20_000))


def test_without_any_spread_there_is_no_interval() -> None:
    found = moderated_interval(np.array([0.0, 1.0]), np.zeros(2), df=4, scale=0.5)
    assert np.isnan(found.low).all()
    assert np.isnan(found.p_value).all()
