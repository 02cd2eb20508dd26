import numpy as np
import scipy.sparse as sp
from sklearn.metrics import roc_auc_score

from cellmark.training.markers.marker_statistics import type_auc


def test_equals_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    x = np.where(generator.random((150, 6)) < 0.6, 0, np.round(generator.gamma(2, 1, (150, 6)), 1))
    x[:, 3], x[:, 4], x[:, 5] = 0, 1.5, generator.random(150) + 1
    codes = generator.integers(0, 4, 150)
    expected = [[roc_auc_score(codes == code, x[:, gene]) for gene in range(6)] for code in range(4)]
    for form in (sp.csr_matrix(x), sp.csc_matrix(x.astype(np.float32))):
        np.testing.assert_allclose(type_auc(form, codes, n_types=4), expected, rtol=1e-12)


def test_zeros_that_are_stored_are_zeros() -> None:
    x = sp.csr_matrix(np.array([[1.0], [2.0], [3.0], [4.0]]))
    x.data[:] = [0, 0, 3, 0]
    assert type_auc(x, np.array([0, 0, 1, 1]), n_types=2)[:, 0].tolist() == [0.25, 0.75]


def test_types_without_a_rest_have_none() -> None:
    x = sp.csr_matrix(np.arange(4.0)[:, None])
    assert np.isnan(type_auc(x, np.zeros(4, dtype=int), n_types=2)).all()
