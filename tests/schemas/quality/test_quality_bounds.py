"""Ranges learned from training cells: properties that hold for any training data."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellmark.schemas.quality.quality_bounds import MOSTLY, cell_range, median_range

COUNTS = arrays(np.float64, st.integers(1, 300), elements=st.integers(0, 10**7).map(float))
FRACTIONS = arrays(np.float64, st.integers(1, 300), elements=st.floats(0, 1))


@given(COUNTS)
def test_training_counts_meet_their_own_ranges(values: np.ndarray) -> None:
    cell, median = cell_range(values, is_fraction=False), median_range(values, is_fraction=False)
    assert np.mean((values >= cell.low) & (values <= cell.high)) >= MOSTLY
    assert median.low <= np.median(values) <= median.high


@given(FRACTIONS, st.booleans())
def test_training_fractions_meet_their_own_ranges(values: np.ndarray, open_below: bool) -> None:
    cell = cell_range(values, is_fraction=True, open_below=open_below)
    median = median_range(values, is_fraction=True)
    assert np.mean((values >= cell.low) & (values <= cell.high)) >= MOSTLY
    assert median.low <= np.median(values) <= median.high
    assert 0 <= cell.low <= cell.high <= 1
    assert 0 <= median.low <= median.high <= 1


def test_bounds_of_a_known_distribution_are_its_quantiles_widened_and_rounded_outward() -> None:
    values = np.arange(1.0, 10_002.0)  # the q quantile is 1 + 10,000 q
    cell, median = cell_range(values, is_fraction=False), median_range(values, is_fraction=False)
    assert (cell.low, cell.high) == (67, 14_900)  # 101 / 1.5 and 9,901 * 1.5
    assert (median.low, median.high) == (455, 10_500)  # 501 / 1.1 and 9,501 * 1.1
    fractions = (values - 1) / 10_000
    assert cell_range(fractions * 0.4, is_fraction=True).high == 0.494  # 0.396 + 0.25 * 0.392
    assert cell_range(fractions, is_fraction=True).high == 1.0


def test_small_values_are_no_fault_where_the_range_is_open_below() -> None:
    values = np.linspace(0.2, 0.3, 100)
    assert cell_range(values, is_fraction=True).low > 0.1
    assert cell_range(values, is_fraction=True, open_below=True).low == 0.0


@pytest.mark.parametrize("value", [0.0, 3.0, 1_000.0])
def test_a_column_without_spread_allows_some(value: float) -> None:
    cell = cell_range(np.full(20, value), is_fraction=False)
    assert cell.low <= value / 1.5
    assert cell.high >= value * 1.5
    fraction = cell_range(np.full(20, 0.5), is_fraction=True)
    assert (fraction.low, fraction.high) == (0.49, 0.51)


def test_one_wild_training_cell_does_not_move_the_ranges() -> None:
    values = np.random.default_rng(0).lognormal(8, 0.3, 1_000)
    wild = np.append(values, 1e9)
    assert cell_range(wild, is_fraction=False).high < 2 * cell_range(values, is_fraction=False).high
