import numpy as np
import pytest
from scipy import stats
from scipy.special import polygamma

from cellmark.schemas.errors import ParameterError
from cellmark.training.markers.contrasts import (
    ALL_OTHERS,
    MIN_GENES,
    NO_DONORS,
    Design,
    donor_spread,
    enough_donors,
    inverse_trigamma,
    moderated_interval,
    plan_contrasts,
    take_samples,
    variance_prior,
)


def plan(pairs: str, reference: str | None = None) -> list[tuple[object, ...]]:
    """Condition, reference, design and, of each side, donors with conditions. `pairs`: such as `a1 a2 b3`."""
    conditions = np.array([pair[0] for pair in pairs.split()])
    donors = np.array([pair[1:] for pair in pairs.split()])
    samples = take_samples(conditions, donors)

    def names(side: tuple[tuple[int, ...], ...]) -> str:
        assert samples.donors is not None
        return " ".join("".join(samples.conditions[n] for n in of) + samples.donors[of[0]] for of in side)

    return [
        (found.condition, found.reference, found.design, names(found.before), names(found.after))
        for found in plan_contrasts(samples, reference=reference)
    ]


def test_samples_are_donors_within_conditions() -> None:
    samples = take_samples(np.array(["b", "a", "a", "b"]), np.array(["1", "1", "2", "1"]))
    assert samples.conditions == ("a", "a", "b")
    assert samples.donors == ("1", "2", "1")
    np.testing.assert_array_equal(samples.numbers, [2, 0, 1, 2])


def test_of_two_conditions_the_first_by_name_is_the_reference() -> None:
    assert plan("b3 a1 a2 b4") == [("b", "a", "independent", "a1 a2", "b3 b4")]
    assert plan("b3 a1 a2 b4", "b") == [("a", "b", "independent", "b3 b4", "a1 a2")]


def test_of_three_conditions_each_is_compared_with_all_others() -> None:
    assert plan("a1 b2 c3 c4") == [
        ("a", ALL_OTHERS, "independent", "b2 c3 c4", "a1"),
        ("b", ALL_OTHERS, "independent", "a1 c3 c4", "b2"),
        ("c", ALL_OTHERS, "independent", "a1 b2", "c3 c4"),
    ]
    assert [found[:2] for found in plan("a1 b2 c3 c4", "b")] == [("a", "b"), ("c", "b")]


def test_donors_of_both_sides_are_compared_with_themselves() -> None:
    assert plan("a1 a2 a3 b1 b2 b4") == [("b", "a", "independent", "a1 a2 a3", "b1 b2 b4")]
    assert plan("a1 a2 a3 b3 b1 b2") == [("b", "a", "paired", "a1 a2 a3", "b1 b2 b3")]
    assert plan("a1 a2 a3 a4 b1 b2 b4") == [("b", "a", "paired", "a1 a2 a4", "b1 b2 b4")]


def test_a_donor_in_several_of_the_other_conditions_counts_once() -> None:
    assert plan("a1 a2 b1 b2 c1 c2")[0] == ("a", ALL_OTHERS, "paired", "bc1 bc2", "a1 a2")


def test_where_conditions_are_donors_one_is_compared_with_the_others() -> None:
    names = np.array(["x", "y", "z"])
    found = plan_contrasts(take_samples(names, names), reference=None)
    assert [(contrast.design, len(contrast.before), len(contrast.after)) for contrast in found] == [
        ("single", 2, 1)
    ] * 3


def test_without_donors_there_is_no_design() -> None:
    found = plan_contrasts(take_samples(np.array(["a", "b", "c"]), None), reference=None)
    assert {contrast.design for contrast in found} == {None}
    assert {contrast.reason for contrast in found} == {NO_DONORS}
    assert [contrast.samples(contrast.before) for contrast in found] == [[1, 2], [0, 2], [0, 1]]


def test_one_condition_and_an_unknown_reference_are_refused() -> None:
    with pytest.raises(ParameterError, match="at least two conditions; found only a"):
        plan("a1 a2")
    with pytest.raises(ParameterError, match=r"reference: expected one of a, b; found 'c'"):
        plan("a1 b2", "c")


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


generator = np.random.default_rng(0)
BEFORE, AFTER = generator.normal(size=(4, 6)), generator.normal(size=(3, 6)) + 1


def test_independent_donors_have_the_pooled_variance() -> None:
    spread = donor_spread(BEFORE, AFTER, design="independent")
    pooled = (3 * BEFORE.var(axis=0, ddof=1) + 2 * AFTER.var(axis=0, ddof=1)) / 5
    np.testing.assert_allclose(spread.variance, pooled)
    assert (spread.df, spread.scale) == (5, pytest.approx(1 / 4 + 1 / 3))


def test_paired_donors_have_the_variance_of_their_differences() -> None:
    spread = donor_spread(BEFORE[:3], AFTER, design="paired")
    np.testing.assert_allclose(spread.variance, (AFTER - BEFORE[:3]).var(axis=0, ddof=1))
    assert (spread.df, spread.scale) == (2, pytest.approx(1 / 3))


def test_one_donor_has_the_variance_of_the_others() -> None:
    """Crawford and Howell 1998: t = (case - mean) / (sd * sqrt((n + 1) / n)) with n - 1 degrees of freedom."""
    spread = donor_spread(BEFORE, AFTER[:1], design="single")
    t = (AFTER[0] - BEFORE.mean(axis=0)) / np.sqrt(spread.variance * spread.scale)
    np.testing.assert_allclose(t, (AFTER[0] - BEFORE.mean(axis=0)) / (BEFORE.std(axis=0, ddof=1) * np.sqrt(5 / 4)))
    assert spread.df == 3
    # The prediction interval of one more value of a normal sample, the same by another road.
    reach = stats.t.ppf(0.975, 3) * np.sqrt(BEFORE.var(axis=0, ddof=1) * (1 + 1 / 4))
    np.testing.assert_allclose(stats.t.ppf(0.975, spread.df) * np.sqrt(spread.variance * spread.scale), reach)


@pytest.mark.parametrize(
    ("n_reference", "n_condition", "design", "expected"),
    [
        (2, 2, "independent", True),
        (2, 1, "independent", False),
        (1, 5, "independent", False),
        (1, 1, "paired", False),
        (2, 1, "single", True),
        (1, 1, "single", False),
    ],
)
def test_two_donors_a_side_are_asked_for(n_reference: int, n_condition: int, design: Design, expected: bool) -> None:
    assert enough_donors(n_reference, n_condition, design) is expected
