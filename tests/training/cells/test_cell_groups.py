import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cellmark.training.cells.cell_groups import draw_cells, membership


@given(st.lists(st.integers(0, 4), max_size=60), st.integers(0, 70), st.none() | st.integers(1, 20), st.integers(0, 3))
def test_cells_are_drawn_evenly_once_each(codes: list[int], at_most: int, per_type: int | None, seed: int) -> None:
    labels = np.array(codes, dtype=int)
    rows = draw_cells(labels, at_most=at_most, per_type=per_type, seed=seed)
    assert (np.diff(rows) > 0).all()
    sizes = np.minimum(np.bincount(labels, minlength=5), per_type or 60)
    drawn = np.bincount(labels[rows], minlength=5)
    assert len(rows) == min(at_most, sizes.sum())
    assert (drawn <= sizes).all()
    left = drawn < sizes  # a type that lost cells has as many as any other, but for the last round
    assert not left.any() or drawn.max() - drawn[left].min() <= 1


def test_a_seed_names_the_sample() -> None:
    codes = np.repeat([0, 1], 500)
    samples = [draw_cells(codes, at_most=50, seed=seed).tolist() for seed in (1, 1, 2)]
    assert samples[0] == samples[1] != samples[2]


def test_of_common_types_chance_draws_more_and_rare_types_stay() -> None:
    codes = np.r_[np.zeros(500, dtype=int), np.ones(200, dtype=int), np.full(30, 2)]
    drawn = draw_cells(codes, at_most=180, at_least=50, seed=0)
    assert len(drawn) == len(set(drawn.tolist())) == 180
    first, second, rare = np.bincount(codes[drawn]).tolist()
    assert rare == 30
    assert first > second >= 50


def test_its_product_with_values_is_the_sum_over_each_types_cells() -> None:
    generator = np.random.default_rng(0)
    codes, values = generator.integers(0, 3, 50), generator.normal(size=(50, 4))
    found = membership(codes, 5) @ values
    assert found.shape == (5, 4)
    for code in range(5):
        np.testing.assert_allclose(found[code], values[codes == code].sum(axis=0))
