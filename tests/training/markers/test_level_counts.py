import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.markers.published_ranking import level_counts


@pytest.mark.parametrize("sparse", [True, False])
def test_levels_and_counts_equal_a_cross_table(sparse: bool) -> None:
    generator = np.random.default_rng(0)
    values = generator.choice([-1.5, 0, 0, 0, 1, 2.5], (80, 6))
    values[:, 2], values[:, 3] = 4, 0
    codes = generator.integers(0, 4, 80)
    table = list(level_counts(sp.csc_matrix(values) if sparse else values, codes, n_types=5))
    assert len(table) == 6
    for gene, (levels, counts) in enumerate(table):
        assert levels.tolist() == sorted({0.0, *values[:, gene]})
        expected = [[(values[codes == code, gene] == level).sum() for level in levels] for code in range(5)]
        np.testing.assert_array_equal(counts, expected)


def test_zeros_that_are_stored_are_zeros() -> None:
    stored = sp.csc_matrix((np.array([0.0, 2.0, 0.0]), np.array([0, 1, 2]), np.array([0, 3])), shape=(4, 1))
    ((levels, counts),) = level_counts(stored, np.array([0, 0, 1, 1]), n_types=2)
    assert levels.tolist() == [0, 2]
    assert counts.tolist() == [[1, 1], [2, 0]]
    assert stored.nnz == 3
