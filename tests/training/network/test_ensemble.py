"""Ensembles: the grid around one choice, members that differ and a seed that settles them."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.network import ensemble
from cellmark.training.network.classifier import NetworkShape
from cellmark.training.network.ensemble import FittedEnsemble, fit_ensemble, predict_probabilities, variations
from cellmark.training.network.fit import fit, predict_logits
from cellmark.training.network.fit_settings import Epoch, FitData, FitSettings

SMALL = FitSettings(
    shape=NetworkShape((16,), dropout=0.2),
    max_epochs=8,
    batch_size=32,
    noise=0.3,
    patience=8,
    stop="validation_loss",
    learning_rate=5e-3,
)


def draw(n_cells: int = 240, *, lift: float = 2.0, seed: int = 0) -> tuple[sp.csr_matrix, np.ndarray]:
    """Sparse expression of three types that differ in four genes each, and the types."""
    generator = np.random.default_rng(seed)
    codes = np.arange(n_cells) % 3
    x = generator.exponential(1, (n_cells, 20)) * (generator.random((n_cells, 20)) < 0.5)
    for number in range(3):
        x[codes == number, 4 * number : 4 * number + 4] += lift
    return sp.csr_matrix(x.astype(np.float32)), codes


def run(members: tuple[FitSettings, ...], *, seed: int = 0, lift: float = 2.0) -> FittedEnsemble:
    x, codes = draw(lift=lift)
    cells = np.arange(len(codes))
    return fit_ensemble(
        FitData(x, codes, cells[60:], cells[:60], 3), members=members, seed=seed
    )  # fmt: skip


def weights(fitted: FittedEnsemble) -> list[torch.Tensor]:
    return [classifier.layers[0].weight for classifier in fitted.classifiers]


def test_fifteen_members_are_the_published_grid_and_the_first_is_the_choice_itself() -> None:
    found = variations(SMALL, n_members=15)
    grid = {(round(member.learning_rate, 9), round(member.shape.dropout, 9)) for member in found}
    expected = product(0.005 * np.linspace(0.7, 1.3, 5), 0.2 * np.array([0.9, 1, 1.1]))
    assert grid == {(round(rate, 9), round(dropout, 9)) for rate, dropout in expected}
    assert found[0] == SMALL
    assert {replace(member, learning_rate=1, shape=NetworkShape((16,))) for member in found} == {
        replace(SMALL, learning_rate=1, shape=NetworkShape((16,)))
    }


def test_few_members_are_spread_over_rates_and_dropouts() -> None:
    assert variations(SMALL, n_members=1) == (SMALL,)
    five = variations(SMALL, n_members=5)
    assert len({member.learning_rate for member in five}) == 5
    assert len({member.shape.dropout for member in five}) == 3
    three = variations(SMALL, n_members=3)
    assert np.mean([member.learning_rate for member in three]) == pytest.approx(SMALL.learning_rate)


def test_from_the_sixteenth_on_the_grid_comes_again() -> None:
    members = variations(SMALL, n_members=20)
    assert members[15:] == members[:5]


@pytest.mark.parametrize("dropout", [0.0, 0.95, 0.99])
def test_dropout_stays_below_one(dropout: float) -> None:
    members = variations(replace(SMALL, shape=NetworkShape((16,), dropout)), n_members=15)
    assert all(0 <= member.shape.dropout < 1 for member in members)
    assert members[0].shape.dropout == dropout


def test_every_member_learns_and_the_members_differ() -> None:
    fitted = run(variations(SMALL, n_members=4))
    x, codes = draw(seed=1)
    for classifier in fitted.classifiers:
        assert not classifier.training
        assert (predict_logits(classifier, x).argmax(1).numpy() == codes).mean() > 0.9
    first, *others = weights(fitted)
    assert not any(torch.allclose(first, other) for other in others)


def test_members_of_the_same_settings_differ_by_their_weights() -> None:
    first, second = weights(run((SMALL, SMALL)))
    assert not torch.allclose(first, second)


def test_a_seed_settles_all_members() -> None:
    members = variations(SMALL, n_members=3)
    first, second, other = (weights(run(members, seed=seed)) for seed in (4, 4, 5))
    assert all(torch.equal(one, two) for one, two in zip(first, second, strict=True))
    assert not any(torch.allclose(one, two) for one, two in zip(first, other, strict=True))


def test_one_member_is_what_fit_gives() -> None:
    x, codes = draw()
    cells = np.arange(len(codes))
    alone = fit(FitData(x, codes, cells[60:], cells[:60], 3), settings=SMALL, seed=3)
    fitted = run((SMALL,), seed=3)
    assert torch.equal(alone.classifier.layers[0].weight, weights(fitted)[0])
    assert fitted.epochs == alone.epochs
    assert fitted.best_epoch == alone.best_epoch


def test_members_are_as_good_as_networks_fitted_alone() -> None:
    """On types that overlap, by the mean over eight."""
    x, codes = draw(lift=0.7)
    cells = np.arange(len(codes))
    members = (SMALL,) * 8
    together = [result.epochs[result.best_epoch - 1].validation_loss for result in run(members, lift=0.7).results]
    alone = []
    for seed in range(8):
        result = fit(FitData(x, codes, cells[60:], cells[:60], 3), settings=SMALL, seed=seed)
        alone.append(result.epochs[result.best_epoch - 1].validation_loss)
    assert np.mean(together) < np.mean(alone) + 2 * np.std(alone)
    assert np.mean(alone) > 0.2


def test_members_of_other_shapes_keep_their_places() -> None:
    wide = replace(SMALL, shape=NetworkShape((24, 12), dropout=0.1))
    fitted = run((SMALL, wide, SMALL))
    assert [weight.shape[0] for weight in weights(fitted)] == [16, 24, 16]
    assert [len(classifier.layers) for classifier in fitted.classifiers] == [5, 9, 5]


def test_members_too_large_to_be_held_at_once_are_trained_in_lots(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ensemble, "MAX_WEIGHTS", 2 * 20 * 16)
    fitted = run((SMALL,) * 5)
    assert len(fitted.results) == 5
    found = weights(fitted)
    assert not any(torch.allclose(found[one], found[two]) for one in range(5) for two in range(one))


def test_epochs_are_means_over_the_members_still_training() -> None:
    heard: list[Epoch] = []
    members = (SMALL, replace(SMALL, max_epochs=3))
    x, codes = draw()
    cells = np.arange(len(codes))
    fitted = fit_ensemble(FitData(x, codes, cells[60:], cells[:60], 3), members=members, seed=0, on_epoch=heard.append)
    long, short = fitted.results
    assert [epoch.number for epoch in fitted.epochs] == list(range(1, 9))
    assert fitted.epochs[1].train_loss == pytest.approx((long.epochs[1].train_loss + short.epochs[1].train_loss) / 2)
    assert fitted.epochs[5] == long.epochs[5]
    assert tuple(heard) == fitted.epochs
    assert fitted.best_epoch == int(np.median([long.best_epoch, short.best_epoch]))


def test_probabilities_are_of_the_mean_of_logits() -> None:
    fitted = run(variations(SMALL, n_members=3))
    x, _ = draw(30, seed=2)
    logits = np.mean([predict_logits(classifier, x).numpy() for classifier in fitted.classifiers], axis=0)
    expected = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(predict_probabilities(fitted.classifiers, x), expected, rtol=1e-5)
