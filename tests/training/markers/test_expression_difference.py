import numpy as np
import pytest
import scipy.sparse as sp
from scipy import stats

from cellmark.training.markers import permutation_p_values as permutations
from cellmark.training.markers.marker_statistics import expression_test


def draw_cells(n_cells: int = 120, n_genes: int = 8) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = generator.choice(3, n_cells, p=[0.5, 0.3, 0.2])
    effect = np.linspace(-0.8, 0.8, n_genes)
    x = np.maximum(generator.normal(0.3, 1, (n_cells, n_genes)) + (codes == 1)[:, None] * effect, 0)
    return x, codes


def test_p_agrees_with_scipy_permutations() -> None:
    x, codes = draw_cells()
    found = expression_test(sp.csr_matrix(x.astype(np.float32)), codes, n_types=3, n_permutations=4000, seed=0)
    seen = []
    for code in range(3):

        def difference(one: np.ndarray, other: np.ndarray, axis: int) -> np.ndarray:
            return np.abs(one.mean(axis=axis) - other.mean(axis=axis))

        expected = stats.permutation_test(
            [x[codes == code], x[codes != code]], difference, permutation_type="independent", alternative="greater",
            n_resamples=4000, vectorized=True, axis=0, rng=np.random.default_rng(1),
        )  # fmt: skip
        spread = np.sqrt(2 * expected.pvalue * (1 - expected.pvalue) / 4000)
        assert (np.abs(found[code] - expected.pvalue) <= 4.5 * spread + 1e-3).all()
        seen.extend(found[code])
    assert max(seen) > 0.5
    assert min(seen) < 0.01


def test_both_directions_are_found() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1], 50)
    x = generator.gamma(2, 1, (100, 2)) + np.outer(codes, [3, 0]) + np.outer(1 - codes, [0, 3])
    found = expression_test(sp.csr_matrix(x), codes, n_types=2, n_permutations=500, seed=0)
    np.testing.assert_allclose(found, 1 / 501)


def test_a_sum_that_equals_the_observed_one_counts() -> None:
    # One cell has the gene; |D*| is at least |D| exactly when the type gets that cell again.
    codes = np.repeat([0, 1], [20, 180])
    x = sp.csr_matrix(([1.7], ([0], [0])), shape=(200, 1))
    found = expression_test(x, codes, n_types=2, n_permutations=4000, seed=0)
    assert found[:, 0] == pytest.approx(0.1, abs=4 * np.sqrt(0.09 / 4000) + 1 / 4000)
    assert found[0, 0] == found[1, 0]


def test_under_no_difference_p_is_uniform() -> None:
    generator = np.random.default_rng(1)
    x = sp.csr_matrix(generator.gamma(1, 1, (100, 300)))
    found = expression_test(x, generator.integers(0, 2, 100), n_types=2, n_permutations=300, seed=0)
    assert stats.kstest(found[0], "uniform").pvalue > 0.01


def test_a_difference_between_donors_alone_is_not_significant_within_donors() -> None:
    generator = np.random.default_rng(0)
    donors = np.repeat(["d1", "d2"], 200)
    codes = (generator.random(400) < np.where(donors == "d1", 0.8, 0.2)).astype(int)
    x = sp.csr_matrix(generator.gamma(1, 1, (400, 20)) + 2 * (donors == "d2")[:, None])
    free = expression_test(x, codes, n_types=2, n_permutations=200, seed=0)
    within = expression_test(x, codes, n_types=2, n_permutations=200, seed=0, strata=donors)
    assert (free < 0.01).all()
    assert np.median(within) > 0.2


def test_a_difference_within_donors_is_found_against_one_between_them() -> None:
    # Outside and inside have the same mean over all cells, yet in each donor the type has more.
    generator = np.random.default_rng(0)
    donors = np.repeat(["d1", "d2"], 200)
    codes = (generator.random(400) < np.where(donors == "d1", 0.8, 0.2)).astype(int)
    shift = np.where(donors == "d2", 2.0, 0.0) + 1.2 * codes
    x = sp.csr_matrix((generator.gamma(1, 1, 400) + shift)[:, None])
    within = expression_test(x, codes, n_types=2, n_permutations=200, seed=0, strata=donors)
    assert within[1, 0] == pytest.approx(1 / 201)


def test_genes_that_do_not_vary_have_p_one_and_impossible_types_none() -> None:
    x, codes = draw_cells()
    x[:, 2], x[:, 4] = 0, 0.1
    found = expression_test(sp.csr_matrix(x), codes, n_types=4, n_permutations=50, seed=0)
    assert (found[:3, [2, 4]] == 1).all()
    assert np.isnan(found[3]).all()
    assert not np.isnan(found[:3]).any()


def test_blocks_of_genes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = draw_cells()
    expected = expression_test(sp.csr_matrix(x), codes, n_types=3, n_permutations=100, seed=0)
    monkeypatch.setattr(permutations, "BLOCK_VALUES", 400)
    np.testing.assert_array_equal(
        expression_test(sp.csr_matrix(x), codes, n_types=3, n_permutations=100, seed=0), expected
    )


def test_of_many_cells_some_of_every_type_are_drawn() -> None:
    generator = np.random.default_rng(0)
    codes = np.repeat([0, 1, 2], [5000, 900, 60])
    x = sp.csr_matrix(generator.gamma(1, 1, (5960, 2)) + np.outer(codes == 2, [2, 0]))
    found = expression_test(x, codes, n_types=3, n_permutations=100, seed=0, n_cells=300)
    assert found[2, 0] == pytest.approx(1 / 101)
    again = expression_test(x, codes, n_types=3, n_permutations=100, seed=0, n_cells=300)
    np.testing.assert_array_equal(found, again)
    whole = expression_test(x, codes, n_types=3, n_permutations=100, seed=0)
    assert (found[:2] != whole[:2]).any()
