"""Rare types count as much as common ones."""

import numpy as np
import pytest
from sklearn.utils.class_weight import compute_class_weight

from cellmark.training.network.objective import type_weights, upsampled

CODES = np.repeat([0, 1, 2, 4], [50, 7, 1, 20])
LARGER = np.repeat([0, 1, 2, 4], [50, 17, 10, 20])
CELLS = np.random.default_rng(0).permutation(200)[: len(CODES)]


@pytest.mark.parametrize(("balance", "codes"), [("weights", LARGER), ("upsample", LARGER), ("upsample", CODES)])
def test_weights_are_in_inverse_proportion_to_sizes(balance: str, codes: np.ndarray) -> None:
    found = type_weights(codes, n_types=5, balance=balance)  # type: ignore[arg-type]
    expected = compute_class_weight("balanced", classes=np.array([0, 1, 2, 4]), y=codes)
    np.testing.assert_allclose(found[[0, 1, 2, 4]] / found[0], expected / expected[0])
    assert found.mean() == pytest.approx(1)


def test_a_handful_of_cells_weighs_less_than_a_type() -> None:
    found = type_weights(CODES, n_types=5, balance="weights")
    totals = found[[0, 1, 2, 4]] * np.array([50, 7, 1, 20])
    np.testing.assert_allclose(totals / totals[0], [1, 0.7, 0.1, 1])


def test_without_balance_all_weights_are_one() -> None:
    assert type_weights(CODES, n_types=5, balance="none").tolist() == [1] * 5


def test_every_type_is_drawn_up_to_the_largest_and_every_cell_stays() -> None:
    drawn = upsampled(CELLS, CODES, seed=3)
    of = dict(zip(CELLS, CODES, strict=True))
    sizes = np.bincount([of[cell] for cell in drawn])
    assert sizes.tolist() == [50, 50, 50, 0, 50]
    assert set(drawn) == set(CELLS)
    assert (np.unique(drawn[np.isin(drawn, CELLS[CODES == 1])], return_counts=True)[1] > 1).all()


def test_a_seed_settles_what_is_drawn() -> None:
    np.testing.assert_array_equal(upsampled(CELLS, CODES, seed=3), upsampled(CELLS, CODES, seed=3))
    assert (upsampled(CELLS, CODES, seed=3) != upsampled(CELLS, CODES, seed=4)).any()
