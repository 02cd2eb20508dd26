import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.metrics import pairwise_distances, silhouette_score

from cellmark.training.markers import published_ranking
from cellmark.training.markers.published_ranking import silhouettes


def expected_silhouettes(values: np.ndarray, codes: np.ndarray, n_types: int) -> np.ndarray:
    """By scikit-learn; distances handed over, as its own for one column round at 1e-8."""
    expected = np.full((n_types, values.shape[1]), np.nan)
    for gene in range(values.shape[1]):
        distances = pairwise_distances(values[:, [gene]], metric="manhattan")
        for code in np.unique(codes):
            if (codes != code).any():
                expected[code, gene] = silhouette_score(distances, codes == code, metric="precomputed")
    return expected


def test_equals_scikit_learn_on_raw_values() -> None:
    generator = np.random.default_rng(0)
    counts = generator.poisson(generator.gamma(0.4, 2, 5), (200, 5)).astype(np.float64)
    codes = generator.integers(0, 3, 200)
    found = silhouettes(sp.csc_matrix(counts), codes, n_types=3)
    for gene in range(5):
        for code in range(3):
            expected = silhouette_score(counts[:, [gene]], codes == code)
            assert found[code, gene] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    "draw",
    [
        lambda generator: generator.poisson(0.1, (120, 4)).astype(float),
        lambda generator: generator.poisson(30, (120, 4)).astype(float),
        lambda generator: generator.normal(size=(120, 4)),
        lambda generator: generator.normal(1e6, 1, (120, 4)),
        lambda generator: np.round(generator.normal(size=(120, 4)), 1),
        lambda generator: np.where(generator.random((120, 4)) < 0.95, 0, generator.lognormal(0, 3, (120, 4))),
        lambda generator: np.repeat([[3.0, 0.0, -2.0, 0.5]], 120, axis=0),
    ],
    ids=["mostly zero", "no zero", "continuous", "far from zero", "ties", "outliers", "all equal"],
)  # fmt: skip
def test_equals_scikit_learn_for_all_kinds_of_values(draw: object) -> None:
    generator = np.random.default_rng(1)
    values = draw(generator)  # type: ignore[operator]
    codes = np.concatenate([[4], [3, 3], generator.integers(0, 3, 117)])
    expected = expected_silhouettes(values, codes, 5)
    for form in (values, sp.csr_matrix(values), sp.csc_matrix(values.astype(np.float64))):
        np.testing.assert_allclose(silhouettes(form, codes, n_types=5), expected, rtol=0, atol=1e-9)


@given(
    arrays(np.float64, (12, 2), elements=st.sampled_from([-3.0, -0.25, 0.0, 0.0, 1.0, 1.5, 7.0])),
    arrays(np.int64, 12, elements=st.integers(0, 2)),
)
def test_equals_scikit_learn_for_few_cells(values: np.ndarray, codes: np.ndarray) -> None:
    expected = expected_silhouettes(values, codes, 4)
    np.testing.assert_allclose(silhouettes(values, codes, n_types=4), expected, rtol=0, atol=1e-9)


def test_types_without_a_rest_have_none() -> None:
    values = np.arange(6.0)[:, None]
    assert np.isnan(silhouettes(values, np.zeros(6, dtype=int), n_types=2)).all()
    assert np.isnan(silhouettes(values, np.array([0, 0, 0, 2, 2, 2]), n_types=3)[1]).all()


def test_steps_over_types_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = np.random.default_rng(2)
    values, codes = generator.normal(size=(60, 3)), generator.integers(0, 5, 60)
    expected = silhouettes(values, codes, n_types=5)
    monkeypatch.setattr(published_ranking, "AT_ONCE", 100)
    np.testing.assert_array_equal(silhouettes(values, codes, n_types=5), expected)
