import numpy as np
import pytest
from scipy import stats

from cellmark.training.markers.contrasts import Design, donor_spread, enough_donors

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
