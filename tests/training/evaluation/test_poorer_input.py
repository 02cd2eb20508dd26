"""Curves of calls on poorer input."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.evaluation.poorer_input import (
    Calls,
    confidence_curve,
    depth_curve,
    partial_panel_curve,
    with_fill,
)
from cellmark.training.network.fit import predict_logits
from cellmark.training.network.linear_member import fit_linear


def draw(n_cells: int = 300, n_genes: int = 50, *, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    """Cells of three types with four genes each, shallow enough that thinning costs calls."""
    generator = np.random.default_rng(seed)
    codes = np.arange(n_cells) % 3
    rates = np.full((n_cells, n_genes), 1.0)
    for number in range(3):
        rates[codes == number, 4 * number : 4 * number + 4] += 2.5
    counts = sp.csr_matrix(generator.poisson(rates).astype(np.float32))
    return normalize(counts, row_sums(counts)), codes


@pytest.fixture(scope="module")
def linear() -> Calls:
    x, codes = draw(seed=1)
    fitted = fit_linear(x, codes, np.arange(len(codes)), 3, seed=0)
    return lambda cells: np.asarray(predict_logits(fitted, cells).argmax(dim=1).numpy())


def test_fewer_counts_cost_calls_and_all_of_them_none(linear: Calls) -> None:
    x, codes = draw()
    points = depth_curve(linear, x, codes, 3, seed=0)
    assert [point["share_of_counts"] for point in points] == [0.1, 0.25, 0.5, 1.0]
    accuracies = [point["accuracy"] for point in points]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] < accuracies[-1] - 0.1
    assert accuracies[-1] == (linear(x) == codes).mean()


def test_genes_that_are_missing_cost_calls_and_none_of_them_none(linear: Calls) -> None:
    x, codes = draw()
    points = partial_panel_curve(linear, x, codes, 3, fill=np.asarray(x.mean(axis=0)).ravel(), seed=0)
    assert [(point["share_missing"], point["n_draws"]) for point in points] == [(0.0, 1), (0.1, 3), (0.3, 3), (0.5, 3)]
    assert points[0]["accuracy"] == (linear(x) == codes).mean()
    assert points[-1]["macro_f1"] < points[0]["macro_f1"]


def test_missing_genes_take_their_fill_in_all_cells() -> None:
    x, _ = draw(20)
    fill = np.linspace(1, 2, x.shape[1]).astype(np.float32)
    found = with_fill(x, np.array([0, 7]), fill).toarray()
    expected = x.toarray()
    expected[:, [0, 7]] = fill[[0, 7]]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(with_fill(x, np.zeros(0, dtype=int), fill).toarray(), x.toarray())


def test_the_most_confident_cells_are_counted_with_their_accuracy() -> None:
    confidence = np.linspace(0.5, 0.99, 100)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    codes = np.where(np.arange(100) < 20, 1, 0)  # the twenty least confident calls are wrong
    points = {point["share_called"]: point["accuracy"] for point in confidence_curve(probabilities, codes)}
    assert points[1.0] == pytest.approx(0.8)
    assert points[0.9] == pytest.approx(80 / 90)
    assert points[0.8] == points[0.5] == 1.0
