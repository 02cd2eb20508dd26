"""Densities and binned means that the report shows of cells: right, and never of a few of them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellmark.schemas.manifest.marker_spread import (
    FEWEST_CELLS,
    FEWEST_IN_A_BIN,
    MOST_SHOWN,
    POINTS,
    MarkerSpread,
    bin_map,
    density,
    gene_spread,
)


@given(st.integers(0, 10_000), st.integers(1, 400), st.integers(1, 5))
def test_every_square_is_the_mean_of_at_least_ten_cells(seed: int, n_cells: int, n_groups: int) -> None:
    generator = np.random.default_rng(seed)
    where = generator.normal(0, 1, (n_cells, 2)) + 8 * generator.integers(0, n_groups, n_cells)[:, None]
    values = generator.gamma(1, 1, (n_cells, 2))
    bins = bin_map(where, values, ["a", "b"])
    if bins is None:
        return
    inside = [
        (np.abs(where - middle) <= bins.pitch / 2 + 2e-3).all(axis=1) for middle in zip(bins.x, bins.y, strict=True)
    ]
    assert all(member.sum() >= FEWEST_IN_A_BIN for member in inside)
    assert MOST_SHOWN * n_cells <= bins.n_shown <= n_cells == bins.n_cells
    for member, mean in zip(inside, bins.means["b"], strict=True):
        assert values[member, 1].min() - 1e-3 <= mean <= values[member, 1].max() + 1e-3
    total = sum(member.sum() for member in inside)
    assert bins.n_shown == pytest.approx(total, abs=0.02 * n_cells + 2)  # edges are rounded


def test_means_of_squares_are_those_of_numpy() -> None:
    where = np.repeat([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0]], [10, 30, 9], axis=0)
    values = np.arange(49.0)[:, None]
    bins = bin_map(where, values, ["gene"])
    assert bins is not None
    assert bins.means["gene"] == [np.arange(10).mean(), np.arange(10, 40).mean()]  # nine cells have no square
    assert (bins.n_shown, bins.n_cells) == (40, 49)


@pytest.mark.parametrize("n_cells", [0, 1, 9])
def test_few_cells_have_no_squares(n_cells: int) -> None:
    assert bin_map(np.zeros((n_cells, 2)), np.zeros((n_cells, 1)), ["gene"]) is None


def test_a_type_of_few_cells_has_no_density_and_decides_no_axis() -> None:
    codes = np.repeat([0, 1], [FEWEST_CELLS, FEWEST_CELLS - 1])
    values = np.where(codes == 0, 1.0, 50.0)
    spread = gene_spread(values, codes, ["many", "few"])
    assert set(spread.densities) == set(spread.medians) == {"many"}
    assert spread.largest == 1.0


@given(st.lists(st.floats(0, 8), min_size=1, max_size=200))
def test_a_density_is_highest_where_most_values_are(values: list[float]) -> None:
    found = density(np.array([0.0] * 300 + values), 8.0)
    assert len(found) == POINTS
    assert max(found) == found[0] == 100
    assert min(found) >= 0


def test_a_density_follows_the_kernel_estimate_of_scipy() -> None:
    stats = pytest.importorskip("scipy.stats")
    values = np.clip(np.random.default_rng(0).normal(4, 0.8, 4_000), 0, 8)
    ours = np.array(density(values, 8.0)) / 100
    theirs = stats.gaussian_kde(values)(np.linspace(0, 8, POINTS))
    np.testing.assert_allclose(ours, theirs / theirs.max(), atol=0.08)


def test_it_is_read_as_it_was_written() -> None:
    codes = np.zeros(30, dtype=int)
    values = np.linspace(0, 3, 30)
    spread = MarkerSpread(cells={"a": 30}, genes={"G": gene_spread(values, codes, ["a"])},
                          bins=bin_map(np.zeros((30, 2)), values[:, None], ["G"]))  # fmt: skip
    assert MarkerSpread.model_validate_json(spread.to_bytes()) == spread
