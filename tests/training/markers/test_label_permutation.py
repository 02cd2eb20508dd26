from math import factorial

import numpy as np
import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.training.markers import permutation_p_values as permutations
from cellmark.training.markers.permutation_p_values import gene_blocks, permuted_labels, permuted_sums, standardize


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
