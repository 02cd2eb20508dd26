from math import factorial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from cellmark.schemas.errors import LabelError, ParameterError
from cellmark.training.markers import permutation_p_values as permutations
from cellmark.training.markers.permutation_p_values import (
    gene_blocks,
    permutation_test,
    permuted_labels,
    permuted_sums,
    standardize,
)


def draw_contributions(n_cells: int = 90, n_genes: int = 6, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, 3, n_cells)
    effect = np.linspace(0, 1.2, n_genes)
    values = generator.normal(3, 1, (n_cells, n_genes)) + (codes == 1)[:, None] * effect
    return values.astype(np.float32), codes


def test_t_and_p_equal_the_published_ones(reference_data: Path) -> None:
    table = pd.read_parquet(reference_data / "contributions.parquet")
    codes, _ = pd.factorize(table.pop("cell_type"), sort=True)
    expected = pd.read_csv(reference_data / "gene_statistics.csv", index_col="gene").loc[table.columns]
    found = permutation_test(table.to_numpy(), codes, n_types=7, seed=11)
    np.testing.assert_allclose(found.t_statistic, expected["T_stat"], rtol=1e-5)
    # Both are binomial counts of the same chance: Fisher's test, Bonferroni over genes.
    for ours, theirs in set(zip(found.p_value, expected["p_value"], strict=True)):
        counts = np.rint(np.array([ours, theirs]) * 1001 - 1).astype(int)
        assert stats.fisher_exact([counts, 1000 - counts]).pvalue > 0.01 / len(expected)
    assert ((found.fdr < 0.05) == expected["significant"]).all()


def test_p_agrees_with_scipy_permutations() -> None:
    values, codes = draw_contributions()
    found = permutation_test(values, codes, n_types=3, n_permutations=4000, seed=0)

    def t_statistic(*groups: np.ndarray, axis: int) -> np.ndarray:
        return np.var([group.mean(axis=axis) for group in groups], axis=0)

    groups = [values[codes == code].astype(np.float64) for code in range(3)]
    expected = stats.permutation_test(
        groups, t_statistic, permutation_type="independent", alternative="greater", n_resamples=4000, vectorized=True,
        axis=0, rng=np.random.default_rng(1),
    )  # fmt: skip
    np.testing.assert_allclose(found.t_statistic, expected.statistic, rtol=1e-6)
    spread = np.sqrt(2 * expected.pvalue * (1 - expected.pvalue) / 4000)
    assert (np.abs(found.p_value - expected.pvalue) <= 4.5 * spread + 1e-3).all()
    assert found.p_value.max() > 0.1 > 0.01 > found.p_value.min()
    np.testing.assert_allclose(found.fdr, stats.false_discovery_control(found.p_value))


def test_a_t_that_equals_t_counts() -> None:
    # One cell has the gene: T* >= T whenever a type of its size or smaller gets the cell, a closed form.
    codes = np.repeat([0, 1, 2], [300, 50, 10])
    values = np.zeros((360, 3))
    values[0, 0], values[300, 1], values[359, 2] = 1e-3, 7.0, 1e6
    found = permutation_test(values, codes, n_types=3, n_permutations=3000, seed=0)
    for p_value, chance in zip(found.p_value, [1, 60 / 360, 10 / 360], strict=True):
        assert p_value == pytest.approx(chance, abs=4 * np.sqrt(chance * (1 - chance) / 3000) + 1 / 3000)


def test_neither_a_shift_nor_a_scale_changes_p() -> None:
    values, codes = draw_contributions()
    expected = permutation_test(values.astype(np.float64), codes, n_types=3, seed=3)
    found = permutation_test(values.astype(np.float64) * 1e-4 + 50, codes, n_types=3, seed=3)
    np.testing.assert_array_equal(found.p_value, expected.p_value)
    np.testing.assert_allclose(found.t_statistic, expected.t_statistic * 1e-8, rtol=1e-6)


def test_genes_that_do_not_vary_have_p_one() -> None:
    values, codes = draw_contributions()
    values[:, 2], values[:, 4] = 0, 0.1
    found = permutation_test(values, codes, n_types=3, n_permutations=50, seed=0)
    assert found.p_value[[2, 4]].tolist() == [1, 1]
    assert found.t_statistic[[2, 4]].tolist() == [0, 0]
    assert found.p_value[5] < 0.1


def test_types_without_cells_do_not_count() -> None:
    values, codes = draw_contributions()
    expected = permutation_test(values, codes, n_types=3, n_permutations=50, seed=0)
    found = permutation_test(values, codes * 2, n_types=6, n_permutations=50, seed=0)
    np.testing.assert_array_equal(found.t_statistic, expected.t_statistic)
    np.testing.assert_array_equal(found.p_value, expected.p_value)


def test_a_difference_between_donors_alone_is_not_significant_within_donors() -> None:
    generator = np.random.default_rng(0)
    donors = np.repeat(["d1", "d2"], 200)
    codes = (generator.random(400) < np.where(donors == "d1", 0.8, 0.2)).astype(int)
    values = generator.normal(size=(400, 20)) + 2 * (donors == "d2")[:, None]
    free = permutation_test(values, codes, n_types=2, n_permutations=200, seed=0)
    within = permutation_test(values, codes, n_types=2, n_permutations=200, seed=0, strata=donors)
    assert (free.p_value < 0.01).all()
    assert np.median(within.p_value) > 0.2


def test_blocks_of_genes_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values, codes = draw_contributions()
    expected = permutation_test(values, codes, n_types=3, n_permutations=100, seed=0)
    monkeypatch.setattr(permutations, "BLOCK_VALUES", 200)
    found = permutation_test(values, codes, n_types=3, n_permutations=100, seed=0)
    np.testing.assert_array_equal(found.p_value, expected.p_value)


def test_impossible_input_is_refused() -> None:
    with pytest.raises(LabelError, match="LABEL_ONE_CLASS"):
        permutation_test(np.ones((4, 2)), np.zeros(4, dtype=int), n_types=3, seed=0)
    with pytest.raises(ParameterError, match="contributions"):
        permutation_test(np.ones((4, 2)), np.array([0, 1]), n_types=2, seed=0)


def test_every_permutation_keeps_the_sizes_of_types_within_each_stratum() -> None:
    generator = np.random.default_rng(0)
    codes, strata = generator.integers(0, 4, 60), generator.choice(["d1", "d2", "d3"], 60)
    labels = np.vstack(list(permuted_labels(codes, n_permutations=25, batch=10, seed=1, strata=strata)))
    assert labels.shape == (25, 60)
    for name in np.unique(strata):
        expected = np.bincount(codes[strata == name], minlength=4)
        for row in labels[:, strata == name]:
            np.testing.assert_array_equal(np.bincount(row, minlength=4), expected)
    assert any((np.bincount(row[:20], minlength=4) != np.bincount(codes[:20], minlength=4)).any() for row in labels)


def test_permutations_are_uniform() -> None:
    # 4 cells of 4 types have 24 orders; chi-square with 23 degrees of freedom stays below 49.7 with p = 0.999.
    labels = np.vstack(list(permuted_labels(np.arange(4), n_permutations=4800, batch=1000, seed=0)))
    _, times = np.unique(labels, axis=0, return_counts=True)
    assert len(times) == factorial(4)
    assert ((times - 200) ** 2 / 200).sum() < 49.7


def test_sums_are_those_of_the_permuted_types(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    codes, values = generator.integers(0, 3, 40), generator.normal(size=(40, 5)).astype(np.float32)
    monkeypatch.setattr(permutations, "CHUNK_VALUES", 3 * 40 * 7)
    sums = list(permuted_sums(values, codes, n_types=3, n_permutations=20, seed=5))
    assert [len(chunk) for chunk in sums] == [7, 7, 6]
    labels = np.vstack(list(permuted_labels(codes, n_permutations=20, batch=7, seed=5)))
    expected = [[values[row == code].sum(axis=0) for code in range(3)] for row in labels]
    np.testing.assert_allclose(np.vstack(sums), expected, rtol=1e-4, atol=1e-5)


def test_no_permutation_is_refused() -> None:
    with pytest.raises(ParameterError, match="n_permutations"):
        next(permuted_sums(np.zeros((4, 1), np.float32), np.arange(4), n_types=4, n_permutations=0, seed=0))


def test_blocks_cover_all_genes_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(permutations, "BLOCK_VALUES", 70)
    assert np.concatenate([np.arange(8)[genes] for genes in gene_blocks(20, 8)]).tolist() == list(range(8))
    assert len(list(gene_blocks(20, 8))) == 3


def test_standardized_genes_have_mean_zero_in_every_stratum() -> None:
    generator = np.random.default_rng(0)
    strata = np.repeat(["a", "b"], [30, 10])
    values = generator.normal(5, 2, (40, 3)) + 4 * (strata == "b")[:, None]
    values[:, 1] = 0.1
    values[:, 2] = np.where(strata == "a", 0.1, 0.7)
    before = values.copy()
    standardized, sd = standardize(values, strata)
    for name in "ab":
        np.testing.assert_allclose(standardized[strata == name].mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(standardized[:, 0].std(), 1)
    assert sd[0] > 0
    assert sd[1:].tolist() == [0, 0]
    assert (standardized[:, 1:] == 0).all()
    np.testing.assert_array_equal(values, before)
    assert standardize(values)[1][2] > 0
