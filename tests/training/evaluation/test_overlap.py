"""Calls while genes go missing: the shortcut through the first layer gives what networks give, point by point."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.evaluation.evaluate import confusion
from cellmark.training.evaluation.overlap import (
    HIGHEST,
    LOWEST,
    MASSES,
    N_DRAWS,
    LostGenes,
    draw_orders,
    floor_of,
    lose_genes,
    type_curve,
)
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.folded_network import fold

N_CELLS, N_GENES, N_TYPES = 60, 30, 4
CURVE_MASSES = (0.1, 0.35, 0.8)


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(0)
    dense = generator.gamma(1.0, 1.0, (N_CELLS, N_GENES)) * (generator.random((N_CELLS, N_GENES)) < 0.5)
    return sp.csr_matrix(dense.astype(np.float32)), generator.integers(0, N_TYPES, N_CELLS)


@pytest.fixture(scope="module")
def networks(draw_classifier: Callable[..., Classifier]) -> list[list[Classifier]]:
    """Two folds of two networks each, one of them with two hidden layers."""
    return [[draw_classifier((16, 8), seed=seed), draw_classifier((12,), seed=seed + 1)] for seed in (0, 10)]


@pytest.fixture(scope="module")
def genes() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Baselines, shares and shares of types."""
    generator = np.random.default_rng(1)
    per_type = generator.dirichlet(np.full(N_GENES, 0.4), N_TYPES)
    return generator.uniform(0, 2, N_GENES).astype(np.float32), per_type.mean(axis=0), per_type


@pytest.fixture(scope="module")
def lost(
    cells: tuple[sp.csr_matrix, np.ndarray],
    networks: list[list[Classifier]],
    genes: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> tuple[LostGenes, list[np.ndarray]]:
    orders = [np.random.default_rng(seed).permutation(N_GENES) for seed in (2, 3)]
    halves = np.arange(N_CELLS // 2), np.arange(N_CELLS // 2, N_CELLS)
    folds = [([fold(network) for network in of_fold], half) for of_fold, half in zip(networks, halves, strict=True)]
    found = lose_genes(
        folds, *cells, fill=genes[0], shares=genes[1], shares_per_type=genes[2], orders=orders, masses=CURVE_MASSES
    )
    return found, orders


def asked(networks: list[Classifier], x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        logits = torch.stack([network(torch.as_tensor(x)) for network in networks]).mean(dim=0)
    return np.asarray(logits.argmax(dim=1).numpy())


@pytest.mark.parametrize("treatment", ["baseline", "zero"])
def test_calls_are_those_of_the_networks_with_the_genes_replaced(
    treatment: str,
    lost: tuple[LostGenes, list[np.ndarray]],
    cells: tuple[sp.csr_matrix, np.ndarray],
    networks: list[list[Classifier]],
    genes: tuple[np.ndarray, np.ndarray, np.ndarray],
) -> None:
    found, orders = lost
    counted = found.at_baseline if treatment == "baseline" else found.at_zero
    for draw, order in enumerate(orders):
        for point in range(len(CURVE_MASSES) + 1):
            n_lost = round(found.genes_missing[draw, point] * N_GENES)
            x = cells[0].toarray()
            x[:, order[:n_lost]] = genes[0][order[:n_lost]] if treatment == "baseline" else 0
            half = N_CELLS // 2
            calls = np.concatenate([asked(networks[0], x[:half]), asked(networks[1], x[half:])])
            np.testing.assert_array_equal(counted[draw, point], confusion(cells[1], calls, N_TYPES))


def test_each_point_lacks_the_first_genes_that_reach_its_mass(
    lost: tuple[LostGenes, list[np.ndarray]], genes: tuple[np.ndarray, np.ndarray, np.ndarray]
) -> None:
    found, orders = lost
    for draw, order in enumerate(orders):
        n_lost = np.rint(found.genes_missing[draw] * N_GENES).astype(int)
        assert n_lost[0] == 0
        for point, mass in enumerate(CURVE_MASSES, start=1):
            gone, one_less = order[: n_lost[point]], order[: n_lost[point] - 1]
            assert genes[1][gone].sum() >= mass > genes[1][one_less].sum()
            assert found.mass_missing[draw, point] == pytest.approx(genes[1][gone].sum())
            np.testing.assert_allclose(found.type_mass_missing[draw, point], genes[2][:, gone].sum(axis=1))


def test_both_treatments_begin_with_the_same_calls(lost: tuple[LostGenes, list[np.ndarray]]) -> None:
    found, _ = lost
    np.testing.assert_array_equal(found.at_baseline[:, 0], found.at_zero[:, 0])
    assert (found.at_baseline.sum(axis=(2, 3)) == N_CELLS).all()


if TYPE_CHECKING:
    from cellmark.training.run import TrainedModel


def test_the_floor_lies_where_a_line_falls_by_the_tolerance() -> None:
    # 0.9 - 0.25 m: a loss of .05 is at m = .2, between two points.
    missing = np.array([0.0, 0.15, 0.3, 0.45])
    assert floor_of(missing, 0.9 - 0.25 * missing) == pytest.approx(0.8)


def test_a_dip_counts_even_when_the_curve_recovers() -> None:
    assert floor_of(np.array([0.0, 0.1, 0.2, 0.3]), [0.9, 0.8, 0.9, 0.9]) == pytest.approx(0.95)
    assert floor_of(np.array([0.0, 0.2, 0.4, 0.6]), [0.9, 0.9, 0.8, 0.9]) == pytest.approx(0.7)


def test_a_floor_stays_between_its_ends() -> None:
    missing = np.array([0.0, *MASSES])
    assert floor_of(missing, np.ones(9)) == LOWEST
    assert floor_of(missing, [1.0, *[0.0] * 8]) == HIGHEST


def test_half_of_the_draws_take_important_genes_sooner() -> None:
    shares = np.full(200, 0.1 / 180)
    shares[:20] = 0.9 / 20
    orders = draw_orders(shares, np.random.default_rng(0))
    assert len(orders) == 2 * N_DRAWS
    for order in orders:
        np.testing.assert_array_equal(np.sort(order), np.arange(200))
    important = np.array([(order[:20] < 20).mean() for order in orders])
    assert (important[:N_DRAWS] < 0.4).all()
    assert (important[N_DRAWS:] > 0.6).all()


def test_a_type_loses_what_its_f1_falls_by_and_one_never_called_does_not_count() -> None:
    # Three types of ten cells. The second loses all its cells when half of its mass is gone; the third is never called.
    whole = np.array([[10, 0, 0], [0, 10, 0], [10, 0, 0]])
    half = np.array([[10, 0, 0], [10, 0, 0], [10, 0, 0]])
    counted = np.stack([whole, half])[None]
    type_mass = np.array([[[0.0, 0.0, 0.0], [0.1, 0.5, 0.5]]])
    lost = LostGenes(counted, counted, np.zeros((1, 2)), np.zeros((1, 2)), type_mass)
    missing, quality = type_curve(lost)
    np.testing.assert_allclose(missing, [0.0, 0.1, 0.5])
    # The first type: F1 20 / 30 at the start, 20 / 40 after; the second: 1, then 0.
    np.testing.assert_allclose(quality, [1.0, 1 - (20 / 30 - 20 / 40), 0.0])


def test_a_trained_model_stores_its_curve_and_floors(trained: "TrainedModel") -> None:
    overlap = trained.manifest.panel.overlap
    assert overlap is not None
    assert (overlap.treatment, overlap.evaluated_on, overlap.n_draws) == ("fill", "out_of_fold", 2 * N_DRAWS)
    assert LOWEST <= overlap.min_mass <= HIGHEST
    assert LOWEST <= overlap.min_type_mass <= HIGHEST
    assert len(overlap.curve) == len(MASSES) + 1
    first = overlap.curve[0]
    assert (first.mass_missing, first.genes_missing, first.at_zero) == (0.0, 0.0, first.at_baseline)
    assert overlap.n_cells == len(trained.split.train) + len(trained.split.validation)
    # With nothing missing these are the calls of the folds.
    evaluation = trained.manifest.evaluation
    assert evaluation is not None
    assert first.at_baseline == pytest.approx(evaluation.macro_f1.value, abs=1e-9)
    assert overlap.curve[-1].at_baseline < first.at_baseline


def test_shares_in_the_bundle_sum_to_one(trained: "TrainedModel") -> None:
    genes = trained.bundle.genes
    columns = ["attribution_share", *(f"attribution_share:{name}" for name in trained.manifest.cell_type_names)]
    np.testing.assert_allclose(genes[columns].sum(), 1.0)
    assert (genes[columns] >= 0).all(axis=None)
