"""Minimal combinations against trying every subset with scikit-learn's stumps and measures."""

import time
from itertools import combinations

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.metrics import fbeta_score, precision_score, recall_score
from sklearn.tree import DecisionTreeClassifier

from cellmark.training.markers.minimal_combination import (
    TOLERANCE,
    Combination,
    combination_columns,
    minimal_combination,
    sorted_gene,
    stump_threshold,
)

N_TYPES = 4


def draw_cells(seed: int, *, n_cells: int = 300, n_genes: int = 24) -> tuple[sp.csr_matrix, np.ndarray]:
    """Each type has six genes of its own, which also occur in the next type, in varying strength."""
    generator = np.random.default_rng(seed)
    codes = generator.integers(0, N_TYPES, n_cells)
    rates = generator.uniform(0.1, 0.6, (N_TYPES, n_genes))
    for code in range(N_TYPES):
        rates[code, code * 6 : code * 6 + 6] += generator.uniform(0.5, 4, 6)
        rates[(code + 1) % N_TYPES, code * 6 : code * 6 + 6] += generator.uniform(0, 2, 6)
    counts = generator.poisson(rates[codes])
    return sp.csr_matrix(np.log1p(counts * generator.uniform(2, 6, (n_cells, 1)))).astype(np.float32), codes


def ranked(seed: int) -> list[np.ndarray]:
    generator = np.random.default_rng(seed)
    return [np.concatenate([code * 6 + generator.permutation(6), [(code * 6 + 9) % 24]]) for code in range(N_TYPES)]


def all_scores(
    x: sp.csr_matrix, codes: np.ndarray, code: int, genes: np.ndarray, *, max_genes: int, beta: float
) -> dict[tuple[int, ...], float]:
    """F-beta of every subset, by scikit-learn."""
    dense, is_type = x.toarray(), codes == code
    called = {}
    for gene in map(int, genes):
        tree = DecisionTreeClassifier(max_depth=1).fit(dense[:, [gene]], is_type).tree_
        if tree.node_count == 3 and tree.value[2, 0, 1] > tree.value[1, 0, 1]:
            called[gene] = dense[:, gene] > tree.threshold[0]
    return {
        subset: fbeta_score(is_type, np.all([called[gene] for gene in subset], axis=0), beta=beta, zero_division=0)
        for size in range(1, max_genes + 1)
        for subset in combinations(called, size)
    }


@pytest.mark.parametrize(("seed", "max_genes", "beta"), [(0, 6, 0.5), (1, 6, 0.5), (2, 3, 0.5), (3, 2, 1.0)])
def test_the_smallest_of_all_good_subsets_is_found(seed: int, max_genes: int, beta: float) -> None:
    x, codes = draw_cells(seed)
    candidates = ranked(seed)
    found = minimal_combination(
        x, codes, n_types=N_TYPES, candidates=candidates, max_genes=max_genes, n_candidates=7, beta=beta
    )
    for code, combination in enumerate(found):
        scores = all_scores(x, codes, code, candidates[code], max_genes=max_genes, beta=beta)
        good = [subset for subset, score in scores.items() if score >= max(scores.values()) - TOLERANCE]
        smallest = min(map(len, good))
        assert len(combination.genes) == smallest
        assert combination.f_beta == pytest.approx(max(scores[subset] for subset in good if len(subset) == smallest))
        assert scores[combination.genes] == pytest.approx(combination.f_beta)


def test_measures_are_those_of_cells_above_all_thresholds() -> None:
    x, codes = draw_cells(5)
    found = minimal_combination(x, codes, n_types=N_TYPES, candidates=ranked(5))
    assert any(len(combination.genes) > 1 for combination in found)
    for code, combination in enumerate(found):
        called = (x[:, list(combination.genes)].toarray() > combination.thresholds).all(axis=1)
        assert combination.precision == pytest.approx(precision_score(codes == code, called))
        assert combination.recall == pytest.approx(recall_score(codes == code, called))
        assert combination.f_beta == pytest.approx(fbeta_score(codes == code, called, beta=0.5))


def test_one_perfect_gene_is_enough_and_the_first_of_equals_is_taken() -> None:
    codes = np.repeat([0, 1], 20)
    own = np.where(codes == 0, 3.0, 0.0)
    x = sp.csr_matrix(np.stack([np.ones(40), own, own], axis=1).astype(np.float32))
    first, second = minimal_combination(x, codes, n_types=2, candidates=[np.array([0, 2, 1]), np.array([0, 1])])
    assert first == Combination((2,), (1.5,), 1.0, 1.0, 1.0)
    assert second.genes == ()
    assert np.isnan(second.f_beta)


def test_two_genes_that_only_together_are_the_types() -> None:
    """Gene 0 is also in type 1, gene 1 also in type 2."""
    codes = np.repeat([0, 1, 2], 30)
    x = sp.csr_matrix(np.stack([(codes < 2) * 2.0, (codes != 1) * 4.0], axis=1).astype(np.float32))
    found = minimal_combination(x, codes, n_types=3, candidates=[np.array([1, 0]), np.array([0]), np.array([1])])
    assert found[0] == Combination((1, 0), (2.0, 1.0), 1.0, 1.0, 1.0)
    assert found[1] == Combination((0,), (1.0,), 0.5, 1.0, pytest.approx(1.25 * 0.5 / (0.25 * 0.5 + 1)))


def test_a_type_without_cells_or_candidates_has_none() -> None:
    x, codes = draw_cells(0)
    nothing = np.array([], dtype=int)
    found = minimal_combination(x, codes, n_types=5, candidates=[nothing, *ranked(0)[1:], np.array([0, 1])])
    assert [len(combination.genes) > 0 for combination in found] == [False, True, True, True, False]


def test_columns_hold_the_combination_of_each_type() -> None:
    columns = combination_columns([Combination((2, 0), (1.5, 0.5), 0.9, 0.8, 0.87), Combination()], n_genes=3)
    assert columns["in_minimal_combination"].tolist() == [[True, False, True], [False] * 3]
    np.testing.assert_equal(columns["combination_threshold"], [[0.5, np.nan, 1.5], [np.nan] * 3])
    for name, value in (("precision", 0.9), ("recall", 0.8), ("f_beta", 0.87)):
        np.testing.assert_equal(columns[f"combination_{name}"], [[value, np.nan, value], [np.nan] * 3])


def test_thirty_types_of_many_cells_take_no_time() -> None:
    """50,000 cells x 30 types take 0.4 s of an idle core; trying the 847 subsets of each type one by one takes more."""
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 30, 50_000)
    x = sp.random(50_000, 300, density=0.1, format="csr", dtype=np.float32, random_state=generator)
    candidates = [generator.permutation(300)[:10] for _ in range(30)]
    start = time.process_time()
    minimal_combination(x, codes, n_types=30, candidates=candidates)
    assert time.process_time() - start < 10


def cut(values: np.ndarray, is_type: np.ndarray) -> float | None:
    return stump_threshold(sorted_gene(sp.csc_matrix(values[:, None])), is_type)


@pytest.mark.parametrize("seed", range(20))
def test_the_cut_is_that_of_a_tree_of_depth_1(seed: int) -> None:
    generator = np.random.default_rng(seed)
    n_cells = int(generator.integers(40, 400))
    is_type = generator.random(n_cells) < generator.uniform(0.05, 0.5)
    counts = generator.poisson(np.where(is_type, 3.0, 0.5))
    values = np.log1p(counts * generator.uniform(2, 20, n_cells)).astype(np.float32)
    tree = DecisionTreeClassifier(max_depth=1).fit(values[:, None], is_type).tree_
    assert tree.value[2, 0, 1] > tree.value[1, 0, 1]  # more of the type above
    assert cut(values, is_type) == pytest.approx(tree.threshold[0], abs=1e-12)


def test_cells_are_cut_between_two_values_and_zeros_count() -> None:
    values = np.array([0, 0, 1, 3, 0, 5], dtype=np.float32)
    assert cut(values, values > 2) == 2.0
    assert cut(values, values > 0) == 0.5


@pytest.mark.parametrize(
    ("values", "is_type"),
    [
        ([1, 1, 1, 1], [1, 1, 0, 0]),  # the same in all cells
        ([0, 1, 2, 3], [1, 1, 0, 0]),  # absent from the type
        ([0, 1, 2, 3], [0, 0, 0, 0]),  # no cell of the type
        ([0, 1, 2, 3], [1, 1, 1, 1]),  # no cell of another type
    ],
)
def test_a_gene_that_is_not_present_in_the_type_has_no_cut(values: list[int], is_type: list[int]) -> None:
    assert cut(np.array(values, dtype=np.float32), np.array(is_type, dtype=bool)) is None
