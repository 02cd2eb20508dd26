"""Curves of calls on poorer input, and the linear baseline."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from cellmark.schemas.normalization import normalize, row_sums
from cellmark.training.evaluation.evaluation_section import LinearBaseline
from cellmark.training.evaluation.poorer_input import confidence_curve, depth_curve, partial_panel_curve, with_baseline


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
def linear() -> LinearBaseline:
    x, codes = draw(seed=1)
    return LinearBaseline(x, codes, np.arange(len(codes)), seed=0)


def test_fewer_counts_cost_calls_and_all_of_them_none(linear: LinearBaseline) -> None:
    x, codes = draw()
    points = depth_curve(linear.calls, x, codes, 3, seed=0)
    assert [point["share_of_counts"] for point in points] == [0.1, 0.25, 0.5, 1.0]
    accuracies = [point["accuracy"] for point in points]
    assert accuracies == sorted(accuracies)
    assert accuracies[0] < accuracies[-1] - 0.1
    assert accuracies[-1] == (linear.calls(x) == codes).mean()


def test_genes_that_are_missing_cost_calls_and_none_of_them_none(linear: LinearBaseline) -> None:
    x, codes = draw()
    points = partial_panel_curve(linear.calls, x, codes, 3, baselines=np.asarray(x.mean(axis=0)).ravel(), seed=0)
    assert [(point["share_missing"], point["n_draws"]) for point in points] == [(0.0, 1), (0.1, 3), (0.3, 3), (0.5, 3)]
    assert points[0]["accuracy"] == (linear.calls(x) == codes).mean()
    assert points[-1]["macro_f1"] < points[0]["macro_f1"]


def test_missing_genes_take_their_baseline_in_all_cells() -> None:
    x, _ = draw(20)
    baselines = np.linspace(1, 2, x.shape[1]).astype(np.float32)
    found = with_baseline(x, np.array([0, 7]), baselines).toarray()
    expected = x.toarray()
    expected[:, [0, 7]] = baselines[[0, 7]]
    np.testing.assert_allclose(found, expected)
    np.testing.assert_array_equal(with_baseline(x, np.zeros(0, dtype=int), baselines).toarray(), x.toarray())


def test_the_most_confident_cells_are_counted_with_their_accuracy() -> None:
    confidence = np.linspace(0.5, 0.99, 100)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    codes = np.where(np.arange(100) < 20, 1, 0)  # the twenty least confident calls are wrong
    points = {point["share_called"]: point["accuracy"] for point in confidence_curve(probabilities, codes)}
    assert points[1.0] == pytest.approx(0.8)
    assert points[0.9] == pytest.approx(80 / 90)
    assert points[0.8] == points[0.5] == 1.0


def test_the_baseline_calls_as_scikit_learn_does_on_standardised_genes(linear: LinearBaseline) -> None:
    x, codes = draw(seed=1)
    scaler = StandardScaler().fit(x.toarray())
    expected = LogisticRegression(class_weight="balanced", max_iter=300).fit(scaler.transform(x.toarray()), codes)
    other, _ = draw(seed=2)
    assert (linear.calls(other) == expected.predict(scaler.transform(other.toarray()))).mean() > 0.99
    assert linear.calls(other[:0]).shape == (0,)
