"""The cut of one gene against scikit-learn's trees of depth 1."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.tree import DecisionTreeClassifier

from cellmark.training.markers.minimal_combination import sorted_gene, stump_threshold


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
