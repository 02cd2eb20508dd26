"""Groups that few genes tell apart become one, and those that many do stay two."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.populations.group_cells import by_size, genes_apart, merge_groups, types_apart

N_GENES = 300


def expression(generator: np.random.Generator, n_cells: int, *, marks: slice | None = None) -> sp.csr_matrix:
    """Cells with the same rates, and sixteen times as much of the genes `marks`."""
    rates = np.full(N_GENES, 1.0)
    if marks is not None:
        rates[marks] = 16
    counts = sp.csr_matrix(generator.poisson(rates, (n_cells, N_GENES)).astype(np.float32))
    return normalize(counts, row_sums(counts))


def test_as_many_genes_as_were_planted_tell_two_groups_apart() -> None:
    generator = np.random.default_rng(0)
    one, other = expression(generator, 50), expression(generator, 40, marks=slice(0, 12))
    assert genes_apart(one, other) == genes_apart(other, one) == 12
    assert genes_apart(one, expression(generator, 50)) == 0


def test_pieces_of_one_population_are_joined_again() -> None:
    generator = np.random.default_rng(1)
    x = sp.vstack([expression(generator, 60), expression(generator, 30, marks=slice(0, 12))], format="csr")
    true = np.repeat([0, 1], [60, 30])
    pieces = np.concatenate([generator.integers(0, 3, 60), generator.integers(3, 5, 30)])
    before = pieces.copy()
    np.testing.assert_array_equal(merge_groups(x, pieces, min_genes=10), true)
    np.testing.assert_array_equal(pieces, before)
    assert merge_groups(x, pieces, min_genes=13).max() == 0
    np.testing.assert_array_equal(merge_groups(x, pieces, min_genes=0), by_size(pieces))


def test_a_single_group_stays_one() -> None:
    x = expression(np.random.default_rng(2), 20)
    assert merge_groups(x, np.zeros(20, dtype=int), min_genes=5).tolist() == [0] * 20


def test_types_are_apart_by_the_median_over_their_pairs() -> None:
    generator = np.random.default_rng(4)
    marks = (None, slice(0, 10), slice(10, 40))
    x = sp.vstack([expression(generator, 120, marks=of) for of in marks], format="csr")
    types = [np.arange(120 * number, 120 * number + 120) for number in range(3)]
    assert types_apart(x, types, seed=0) == 30  # 10, 30 and 40
    assert types_apart(x, types[:2], seed=0) == 10
    assert np.isnan(types_apart(x, types[:1], seed=0))


@pytest.mark.parametrize(
    ("groups", "numbered"), [([5, 5, 2], [0, 0, 1]), ([7, 1, 1], [1, 0, 0]), ([3, 9], [0, 1]), ([9, 3], [0, 1])]
)
def test_groups_are_numbered_from_the_largest(groups: list[int], numbered: list[int]) -> None:
    assert by_size(np.array(groups)).tolist() == numbered
