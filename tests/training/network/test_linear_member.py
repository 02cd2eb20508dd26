"""Logistic regression as a classifier of the ensemble, against scikit-learn's own."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from cellmark.training.choices import Stop
from cellmark.training.network import linear_member
from cellmark.training.network.augmentation import Augmentation
from cellmark.training.network.ensemble import first_members, fit_ensemble, variations
from cellmark.training.network.fit import predict_logits
from cellmark.training.network.fit_settings import FitData, FitSettings
from cellmark.training.network.folded_network import fold
from cellmark.training.network.linear_member import WEIGHT, fit_linear


def draw(n_types: int, *, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    """120 cells; each type has two genes of its own, and every gene varies enough to be standardised as it is."""
    generator = np.random.default_rng(seed)
    codes = np.arange(120) % n_types
    x = generator.gamma(2, 0.5, (120, 12))
    for code in range(n_types):
        x[codes == code, 2 * code : 2 * code + 2] += 0.7
    return sp.csr_matrix(x.astype(np.float32)), codes


@pytest.mark.parametrize("n_types", [2, 4])
def test_it_answers_as_scikit_learn_does_on_standardised_genes(n_types: int) -> None:
    x, codes = draw(n_types)
    scaler = StandardScaler().fit(x.toarray())
    expected = LogisticRegression(class_weight="balanced", max_iter=300).fit(scaler.transform(x.toarray()), codes)
    other, _ = draw(n_types, seed=1)
    ours = (
        (predict_logits(fit_linear(x, codes, np.arange(120), n_types, seed=0), other) / WEIGHT).softmax(dim=1).numpy()
    )
    np.testing.assert_allclose(ours, expected.predict_proba(scaler.transform(other.toarray())), atol=2e-3)


def test_a_type_without_cells_is_never_called() -> None:
    x, codes = draw(4)
    cells = np.flatnonzero(codes != 2)
    logits = predict_logits(fit_linear(x, codes, cells, 5, seed=0), x).numpy()
    assert set(logits.argmax(axis=1)) <= {0, 1, 3}
    alone = predict_logits(fit_linear(x, codes, np.flatnonzero(codes == 1), 3, seed=0), x).numpy()
    assert (alone.argmax(axis=1) == 1).all()


def test_its_weights_do_not_depend_on_the_number_of_threads() -> None:
    x, codes = draw(4)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(fold(fit_linear(x, codes, np.arange(120), 4, seed=0)).weights[0])
    np.testing.assert_array_equal(*found)


def test_of_many_cells_as_many_are_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """A drawn half gives weights of its own, the same every time."""
    monkeypatch.setattr(linear_member, "MAX_ROWS", 60)
    monkeypatch.setattr(linear_member, "RARE", 5)
    x, codes = draw(3)
    first, again, other = (fold(fit_linear(x, codes, np.arange(120), 3, seed=seed)).weights[0] for seed in (0, 0, 1))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1e-3


@pytest.mark.parametrize(("stop", "n_cells"), [("last_epoch", 120), ("validation_loss", 100)])
def test_it_is_the_last_member_and_learns_from_the_cells_that_networks_learn(stop: Stop, n_cells: int) -> None:
    x, codes = draw(3)
    data = FitData(x, codes, np.arange(100), np.arange(100, 120), 3)
    members = variations(FitSettings(max_epochs=2, augmented=0.0, stop=stop), n_members=2, linear=True)
    fitted = fit_ensemble(data, members=members, seed=3)
    assert [classifier.is_linear for classifier in fitted.classifiers] == [False, False, True]
    alone = fold(fit_linear(x, codes, np.arange(n_cells), 3, seed=3))
    np.testing.assert_array_equal(fold(fitted.classifiers[2]).weights[0], alone.weights[0])
    assert fitted.best_epoch >= 1
    assert len(fitted.epochs) == 2


def test_fewer_networks_keep_it() -> None:
    members = variations(FitSettings(), n_members=4, linear=True)
    assert first_members(members, 2) == (members[0], members[1], members[4])
    assert first_members(members[:4], 9) == members[:4]


def test_poorer_copies_weigh_as_one_cell_and_are_what_the_settings_say() -> None:
    """Copies that nothing is done to change nothing; those that lose genes spread the weights."""
    x, codes = draw(3)
    plain, same, poorer = (
        fold(fit_linear(x, codes, np.arange(120), 3, augmentation=augmentation, seed=0)).weights[0]
        for augmentation in (Augmentation(), Augmentation(share=1.0), Augmentation(share=1.0, most_missing=0.5))
    )
    np.testing.assert_allclose(same, plain, atol=2e-3)
    assert np.abs(poorer - plain).max() > 0.05
