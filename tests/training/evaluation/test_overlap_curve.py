"""Calls while genes go missing: the shortcut through the first layer gives what networks give, point by point."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp
import torch

from cellmark.training.evaluation.evaluate import confusion
from cellmark.training.evaluation.overlap import LostGenes, lose_genes
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.folded_network import fold

N_CELLS, N_GENES, N_TYPES = 60, 30, 4
MASSES = (0.1, 0.35, 0.8)


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
        folds, *cells, baselines=genes[0], shares=genes[1], shares_per_type=genes[2], orders=orders, masses=MASSES
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
        for point in range(len(MASSES) + 1):
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
        for point, mass in enumerate(MASSES, start=1):
            gone, one_less = order[: n_lost[point]], order[: n_lost[point] - 1]
            assert genes[1][gone].sum() >= mass > genes[1][one_less].sum()
            assert found.mass_missing[draw, point] == pytest.approx(genes[1][gone].sum())
            np.testing.assert_allclose(found.type_mass_missing[draw, point], genes[2][:, gone].sum(axis=1))


def test_both_treatments_begin_with_the_same_calls(lost: tuple[LostGenes, list[np.ndarray]]) -> None:
    found, _ = lost
    np.testing.assert_array_equal(found.at_baseline[:, 0], found.at_zero[:, 0])
    assert (found.at_baseline.sum(axis=(2, 3)) == N_CELLS).all()
