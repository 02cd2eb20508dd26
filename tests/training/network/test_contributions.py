"""Multipliers by hand, against gradients and completeness; means over cells by brute force."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.network import contributions
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import (
    TypeMeans,
    attribution_shares,
    cell_contributions,
    choose_baselines,
    mean_of_types,
    multipliers,
    type_means,
)
from cellmark.training.network.folded_network import FoldedNetwork, fold


def draw_expression(n_cells: int, n_genes: int = 30, *, seed: int = 0) -> sp.csr_matrix:
    generator = np.random.default_rng(seed)
    x = generator.exponential(1, (n_cells, n_genes)) * (generator.random((n_cells, n_genes)) < 0.5)
    return sp.csr_matrix(x.astype(np.float32))


def test_a_network_of_one_unit_by_hand() -> None:
    # z = 2a - b + 1 is 4 at the cell (2, 1) and -1 at the baseline (0, 2): relu moves by 4 while z moves by 5.
    network = FoldedNetwork(
        (np.array([[2.0, -1.0]]), np.array([[3.0], [-1.0]])), (np.array([1.0]), np.array([0.0, 0.0]))
    )
    found = multipliers(network, np.array([[2.0, 1.0]]), np.array([0.0, 2.0]), np.array([[1.0, 0.0]]))
    np.testing.assert_allclose(found, [[0.8 * 3 * 2, 0.8 * 3 * -1]])
    assert (found * np.array([2.0, -1.0])).sum() == pytest.approx(3 * 4)


@pytest.mark.parametrize("hidden", [(16,), (16, 12), (16, 12, 8)])
def test_attributions_are_complete(draw_classifier: Callable[..., Classifier], hidden: tuple[int, ...]) -> None:
    network = fold(draw_classifier(hidden))
    x = draw_expression(20).toarray().astype(np.float64)
    baselines = np.random.default_rng(3).uniform(0, 2, 30)
    weights = np.random.default_rng(4).normal(size=(20, 4))
    found = multipliers(network, x, baselines, weights) * (x - baselines)
    moved = network.forward(x)[1] - network.forward(baselines[None])[1]
    np.testing.assert_allclose(found.sum(axis=1), (moved * weights).sum(axis=1), rtol=1e-9, atol=1e-9)


def test_at_the_baseline_itself_multipliers_are_the_gradient(draw_classifier: Callable[..., Classifier]) -> None:
    import torch

    classifier = draw_classifier((16, 12)).double()
    network = fold(classifier)
    baselines = np.random.default_rng(3).uniform(0, 2, 30)
    x = torch.as_tensor(baselines[None], dtype=torch.float64).requires_grad_()
    (gradient,) = torch.autograd.grad(classifier(x)[0, 1], x)
    found = multipliers(network, baselines[None], baselines, np.eye(4)[[1]])
    np.testing.assert_allclose(found, gradient.numpy(), rtol=1e-4, atol=1e-6)


def test_the_baseline_weighs_every_type_the_same() -> None:
    x = draw_expression(30)
    codes = np.repeat([0, 1, 2], [24, 5, 1])
    expected = np.mean([x.toarray()[codes == code].mean(axis=0) for code in range(3)], axis=0)
    found = mean_of_types(x, codes, 3)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_type_means_equal_a_loop_over_correct_cells(
    draw_classifier: Callable[..., Classifier], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(contributions, "CHUNK", 7)
    members = [fold(draw_classifier((16, 12), seed=seed)) for seed in range(3)]
    x = draw_expression(50)
    generator = np.random.default_rng(0)
    codes = generator.integers(0, 3, 50)
    calls = np.where(generator.random(50) < 0.7, codes, 3)
    baselines = mean_of_types(x, codes, 3)
    means = type_means(members, x, baselines, codes, calls)
    sums, absolute, attributed, sizes = (np.zeros((4, 30)), np.zeros((4, 30)), np.zeros((4, 30)), np.zeros(4))
    for cell in np.flatnonzero(codes == calls):
        row = x[cell].toarray().astype(np.float64)
        target = np.eye(4)[[codes[cell]]]
        mean = np.mean([multipliers(member, row, baselines, target)[0] for member in members], axis=0)
        sums[codes[cell]] += mean * row[0]
        attributed[codes[cell]] += mean * (row[0] - baselines)
        absolute[codes[cell]] += np.abs(mean * (row[0] - baselines))
        sizes[codes[cell]] += 1
    assert means.n_cells.tolist() == sizes.tolist()
    assert sizes[3] == 0
    for ours, expected in ((means.contributions, sums), (means.attributions, attributed),
                           (means.absolute_attributions, absolute)):  # fmt: skip
        expected = expected / np.maximum(sizes, 1)[:, None]
        np.testing.assert_allclose(ours, expected, atol=1e-5 * np.abs(expected).max())


def test_no_correct_call_at_all_gives_zeros(draw_classifier: Callable[..., Classifier]) -> None:
    x = draw_expression(5)
    codes = np.zeros(5, dtype=int)
    means = type_means([fold(draw_classifier((8,)))], x, mean_of_types(x, codes, 1), codes, codes + 1)
    assert (means.contributions == 0).all()
    assert means.n_cells.sum() == 0


def test_attribution_shares_sum_to_one_and_weigh_types_the_same() -> None:
    absolute = np.array([[1.0, 3.0, 0.0], [200.0, 0.0, 200.0]])
    means = TypeMeans(absolute, absolute, absolute, np.array([5, 9]))
    overall, per_type = attribution_shares(means)
    np.testing.assert_allclose(per_type, [[0.25, 0.75, 0], [0.5, 0, 0.5]])
    np.testing.assert_allclose(overall, [0.375, 0.375, 0.25])


def test_a_type_without_attributions_has_no_share_and_takes_none() -> None:
    absolute = np.array([[1.0, 3.0], [0.0, 0.0]])
    overall, per_type = attribution_shares(TypeMeans(absolute, absolute, absolute, np.array([5, 0])))
    assert per_type[1].tolist() == [0, 0]
    np.testing.assert_allclose(overall, [0.25, 0.75])
    nothing, _ = attribution_shares(TypeMeans(absolute * 0, absolute, absolute * 0, np.array([0, 0])))
    assert nothing.tolist() == [0, 0]


@pytest.mark.parametrize("kind", ["mean", "zero", "random"])
def test_baselines_come_from_training_cells_alone_and_repeat(kind: contributions.BaselineKind) -> None:
    x = draw_expression(300)
    codes = np.repeat([0, 1, 2], [200, 90, 10])
    found = choose_baselines(kind, x, codes, 3, seed=5)
    assert found.dtype == np.float32
    assert found.shape == (30,)
    assert (found >= 0).all()
    np.testing.assert_array_equal(choose_baselines(kind, x, codes, 3, seed=5), found)


def test_the_random_baseline_is_a_folded_normal_of_each_gene() -> None:
    x = sp.csr_matrix(np.repeat(np.array([[1.0, 3.0], [3.0, 5.0]], dtype=np.float32), 50, axis=0))
    drawn = np.array([choose_baselines("random", x, np.zeros(100, int), 1, seed=seed) for seed in range(400)])
    # |N(2, 1)| has mean 2 * (2 Phi(2) - 1) + 2 phi(2), and N(4, 1) hardly folds.
    np.testing.assert_allclose(drawn.mean(axis=0), [2.017, 4.0], atol=0.2)
    np.testing.assert_allclose(drawn.std(axis=0), [0.97, 1.0], atol=0.15)


def test_cell_contributions_are_means_over_members_that_call_the_cell_right(
    draw_classifier: Callable[..., Classifier],
) -> None:
    members = [fold(draw_classifier((16,), seed=seed)) for seed in range(3)]
    x = draw_expression(12)
    codes = np.arange(12) % 4
    baselines = np.random.default_rng(3).uniform(0, 2, 30).astype(np.float32)
    member_calls = np.where(np.random.default_rng(7).random((3, 12)) < 0.5, codes, (codes + 1) % 4)
    member_calls[:, 0] = 1
    member_calls[:, 1] = codes[1]
    found = cell_contributions(members, x, baselines, codes, member_calls)
    assert np.isnan(found[0]).all()
    for cell in range(1, 12):
        values = x[cell].toarray()
        right = [member for member, calls in zip(members, member_calls, strict=True) if calls[cell] == codes[cell]]
        if not right:
            assert np.isnan(found[cell]).all()
            continue
        each = [multipliers(member, values, baselines, np.eye(4)[codes[[cell]]]) * values for member in right]
        np.testing.assert_allclose(found[cell], np.mean(each, axis=0)[0], rtol=1e-4, atol=1e-5)
