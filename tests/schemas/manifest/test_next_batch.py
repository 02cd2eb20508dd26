"""What is said of the next donor, against scipy's own Student's t and against drawn donors."""

import numpy as np
import pytest
import scipy.stats

from cellmark.schemas.manifest.next_batch import LEVEL, next_batch


def test_the_interval_is_that_of_students_t_on_angles() -> None:
    shares = np.array([0.02, 0.03, 0.031, 0.05])
    angles = np.arcsin(np.sqrt(shares))
    scale = angles.std(ddof=1) * np.sqrt(1 + 1 / 4)
    low, high = scipy.stats.t.interval(LEVEL, df=3, loc=angles.mean(), scale=scale)
    found = next_batch(shares)
    assert found is not None
    assert low > 0
    assert found[:3] == pytest.approx((shares.mean(), np.sin(low) ** 2, np.sin(high) ** 2))
    assert found.n_batches == 4


def test_two_batches_say_nothing_of_a_third() -> None:
    assert next_batch([0.01, 0.03]) is None
    assert next_batch([]) is None


@pytest.mark.parametrize("shares", [[0, 0, 0.4], [1, 1, 0.6], [0, 1, 0.5], [0.0, 0.0, 0.0]])
def test_no_share_is_below_none_or_above_all(shares: list[float]) -> None:
    found = next_batch(shares)
    assert found is not None
    assert 0 <= found.low <= found.mean <= found.high <= 1


def test_nine_of_ten_further_donors_lie_inside() -> None:
    """Donors of a beta distribution around 3 %, which is not the one that the interval assumes."""
    drawn = np.random.default_rng(0).beta(3, 97, size=(2000, 5))
    intervals = [next_batch(row[:4]) for row in drawn]
    inside = [found.low <= row[4] <= found.high for found, row in zip(intervals, drawn, strict=True) if found]
    assert 0.87 <= np.mean(inside) <= 0.95
