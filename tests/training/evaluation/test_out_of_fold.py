"""Folds: who is held out with whom, and that no network saw the cells it is asked about."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.evaluation import out_of_fold
from cellmark.training.evaluation.out_of_fold import fit_out_of_fold, plan_folds
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.ensemble import FittedEnsemble, fit_ensemble, variations
from cellmark.training.network.fit_settings import FitData, FitSettings

SHORT = FitSettings(shape=NetworkShape((16,)), max_epochs=12, batch_size=32, learning_rate=5e-3)


def draw(n_cells: int = 180, *, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(seed)
    codes = np.arange(n_cells) % 3
    x = generator.exponential(1, (n_cells, 20)) * (generator.random((n_cells, 20)) < 0.5)
    for number in range(3):
        x[codes == number, 4 * number : 4 * number + 4] += 2.0
    return sp.csr_matrix(x.astype(np.float32)), codes


def whole(x: sp.csr_matrix, codes: np.ndarray) -> FitData:
    """Cells not divided yet: the plan does it."""
    return FitData(x, codes, np.arange(len(codes)), np.arange(0), 3)


def test_each_donor_is_a_fold_and_test_cells_are_in_none() -> None:
    codes, donors = np.arange(40) % 2, np.array(["b", "a", "c", "d"] * 10)
    cells = np.flatnonzero(donors != "d")
    plan = plan_folds(codes, donors, cells, seed=0)
    assert (plan.folds, plan.names) == ("donors", ("a", "b", "c"))
    assert [set(donors[plan.fold_of == number]) for number in range(3)] == [{"a"}, {"b"}, {"c"}]
    np.testing.assert_array_equal(plan.cells, cells)


def test_many_donors_are_held_out_in_groups_of_about_as_many_cells() -> None:
    sizes = [400, 100, 100, 100, 100, 90, 80, 60, 50, 40, 30]
    donors = np.repeat([f"d{number:02d}" for number in range(len(sizes))], sizes)
    plan = plan_folds(np.zeros(len(donors), dtype=int), donors, np.arange(len(donors)), seed=0)
    assert len(plan.names) == 5
    for name in np.unique(donors):  # never a donor on both sides
        assert len(np.unique(plan.fold_of[donors == name])) == 1
    in_folds = np.bincount(plan.fold_of)
    assert in_folds.max() == 400  # the large donor alone
    assert np.sort(in_folds)[:4].min() > 150
    assert " + " in "".join(plan.names)
    assert sorted(" + ".join(plan.names).split(" + ")) == sorted(np.unique(donors).tolist())


@pytest.mark.parametrize("donors", [None, np.array(["only"] * 103)])
def test_without_donors_types_are_spread_evenly_and_by_seed(donors: np.ndarray | None) -> None:
    codes = np.r_[np.zeros(51, dtype=int), np.ones(49, dtype=int), np.full(3, 2)]
    plan = plan_folds(codes, donors, np.arange(103), seed=0)
    assert (plan.folds, plan.names) == ("cells", ("1", "2", "3", "4", "5"))
    for code, most in ((0, 11), (1, 10), (2, 1)):
        assert np.bincount(plan.fold_of[codes == code], minlength=5).max() <= most
    assert np.ptp(np.bincount(plan.fold_of)) <= 1
    again, other = (plan_folds(codes, donors, np.arange(103), seed=seed).fold_of for seed in (0, 1))
    np.testing.assert_array_equal(plan.fold_of, again)
    assert (plan.fold_of != other).any()


def test_no_network_sees_the_cells_it_is_asked_about(monkeypatch: pytest.MonkeyPatch) -> None:
    x, codes = draw()
    fitted_on = []

    def hear(data: FitData, **rest: Any) -> FittedEnsemble:
        fitted_on.append(data.seen)
        assert len(np.intersect1d(data.train, data.validation)) == 0
        return fit_ensemble(data, **rest)

    monkeypatch.setattr(out_of_fold, "fit_ensemble", hear)
    donors = np.array(["a", "b", "c", "left out"])[np.arange(180) // 3 % 4]
    cells = np.flatnonzero(donors != "left out")
    plan = plan_folds(codes, donors, cells, seed=0)
    found = fit_out_of_fold(whole(x, codes), plan, members=variations(SHORT, n_members=2), seed=0)
    for number, seen in enumerate(fitted_on):
        np.testing.assert_array_equal(seen, np.flatnonzero((plan.fold_of >= 0) & (plan.fold_of != number)))
    assert found.member_logits.shape == (2, 180, 3)
    assert not found.member_logits[:, donors == "left out"].any()
    assert (found.logits[cells].argmax(axis=1) == codes[cells]).mean() > 0.9
    assert [len(networks) for networks in found.classifiers] == [2, 2, 2]


def test_labels_that_mean_nothing_are_called_no_better_than_by_chance() -> None:
    x, _ = draw()
    codes = np.random.default_rng(3).integers(0, 3, 180)
    plan = plan_folds(codes, None, np.arange(180), seed=0)
    long = replace(SHORT, max_epochs=20, patience=20, augmented=0.0, noise=0.0)
    found = fit_out_of_fold(whole(x, codes), plan, members=[long], seed=0)
    assert (found.logits.argmax(axis=1) == codes).mean() < 0.5


def test_a_type_that_lies_in_one_fold_alone_is_hardly_called_there() -> None:
    x, codes = draw()
    donors = np.where(codes == 2, "z", np.where(np.arange(180) % 2 == 0, "a", "b"))
    plan = plan_folds(codes, donors, np.arange(180), seed=0)
    found = fit_out_of_fold(whole(x, codes), plan, members=[SHORT], seed=0)
    assert np.isfinite(found.logits).all()
    assert (found.logits[codes == 2].argmax(axis=1) == 2).mean() < 0.1


def test_folds_have_five_networks_at_most() -> None:
    x, codes = draw(60)
    plan = plan_folds(codes, None, np.arange(60), seed=0, most=2)
    settings = replace(SHORT, max_epochs=1)
    found = fit_out_of_fold(whole(x, codes), plan, members=variations(settings, n_members=7), seed=0)
    assert found.member_logits.shape[0] == 5
