"""Coefficients of logistic regression on expression as it is."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

from cellmark.training.markers import expression_coefficients as module
from cellmark.training.markers.expression_coefficients import expression_coefficients


def cells(n_types: int, n_cells: int = 90) -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    codes = np.arange(n_cells) % n_types
    rates = np.full((n_types, 6), 0.5)
    rates[np.arange(n_types), np.arange(n_types)] = 4
    return sp.csr_matrix(np.log1p(generator.poisson(rates[codes])).astype(np.float32)), codes


def test_at_the_optimum_the_penalty_equals_what_the_cells_pull() -> None:
    x, codes = cells(3)
    found = expression_coefficients(x, codes, 3, seed=0)
    # The gradient of the loss in closed form, with an intercept that makes each type's expected share its own.
    reference = LogisticRegression(class_weight="balanced", tol=1e-10, max_iter=10_000).fit(x.toarray(), codes)
    residual = np.eye(3)[codes] - reference.predict_proba(x.toarray())
    assert found == pytest.approx(residual.T @ x.toarray(), abs=0.02)  # types of equal size: each cell weighs 1
    assert found.argmax(axis=1).tolist() == [0, 1, 2]


def test_of_two_genes_that_say_the_same_the_stronger_one_is_preferred() -> None:
    codes = np.repeat([0, 1], 40)
    on = (codes == 1).astype(np.float32)
    x = sp.csr_matrix(np.stack([on, 3 * on], axis=1))
    weak, strong = expression_coefficients(x, codes, 2, seed=0)[1]
    assert strong == pytest.approx(3 * weak, rel=0.01)  # as ridge divides an effect among collinear genes


def test_of_two_types_each_has_the_negative_of_the_other() -> None:
    found = expression_coefficients(*cells(2), 2, seed=0)
    assert found[0].tolist() == (-found[1]).tolist()
    assert found[0, 0] > 0 > found[0, 1]


def test_a_type_without_cells_has_zeros_and_so_have_all_beside_one_type() -> None:
    x, codes = cells(3)
    found = expression_coefficients(x, np.where(codes == 2, 3, codes), 4, seed=0)
    assert (found[2] == 0).all()
    assert (found[[0, 1, 3]] != 0).any(axis=1).all()
    assert (expression_coefficients(x, np.zeros(len(codes), int), 2, seed=0) == 0).all()


def test_of_many_cells_some_are_drawn_and_rare_types_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_CELLS", 160)
    x, codes = cells(3, 900)
    kept = (codes < 2) | (np.arange(900) < 30)
    whole = expression_coefficients(x[kept], codes[kept], 3, seed=0)
    assert np.isfinite(whole).all()
    assert whole.argmax(axis=1).tolist() == [0, 1, 2]
    assert expression_coefficients(x[kept], codes[kept], 3, seed=0).tolist() == whole.tolist()
