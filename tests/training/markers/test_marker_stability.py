"""Draws of cells and donors, and what they say of a marker."""

from collections.abc import Callable

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.markers.marker_stability import draw_weights, marker_stability
from cellmark.training.network.classifier import Classifier
from cellmark.training.network.contributions import type_means, weighted_attributions
from cellmark.training.network.folded_network import FoldedNetwork, fold


@pytest.fixture(scope="module")
def members(draw_classifier: Callable[..., Classifier]) -> list[FoldedNetwork]:
    return [fold(draw_classifier((8,), seed=seed, n_genes=12, n_types=3)) for seed in (0, 1)]


@pytest.fixture(scope="module")
def cells() -> tuple[sp.csr_matrix, np.ndarray]:
    generator = np.random.default_rng(3)
    codes = np.repeat([0, 1, 2], [20, 30, 10])
    rates = np.full((3, 12), 0.4)
    for code in range(3):
        rates[code, code * 2 : code * 2 + 2] = 6
    return sp.csr_matrix(np.log1p(generator.poisson(rates[codes])).astype(np.float32)), codes


def test_cells_are_drawn_within_their_type() -> None:
    codes = np.repeat([0, 1, 2], [5, 9, 1])
    weights = draw_weights(codes, None, n_draws=30, n_types=4, seed=0)
    for code, size in enumerate([5, 9, 1]):
        assert (weights[:, codes == code].sum(axis=1) == size).all()
    assert np.unique(weights).size > 2


def test_donors_are_drawn_whole() -> None:
    donors = np.array(["a", "b", "c", "d"])[np.arange(40) % 4]
    weights = draw_weights(np.zeros(40, int), donors, n_draws=30, n_types=1, seed=0)
    for donor in np.unique(donors):
        assert (np.ptp(weights[:, donors == donor], axis=1) == 0).all()
    assert (weights[:, :4].sum(axis=1) == 4).all()


def test_two_donors_are_too_few_to_draw() -> None:
    donors = np.array(["a", "b"])[np.arange(40) % 2]
    weights = draw_weights(np.zeros(40, int), donors, n_draws=5, n_types=1, seed=0)
    assert (np.ptp(weights[:, donors == "a"], axis=1) > 0).all()


def test_weighted_attributions_are_type_means_of_the_drawn_cells(
    members: list[FoldedNetwork], cells: tuple[sp.csr_matrix, np.ndarray]
) -> None:
    x, codes = cells
    calls = np.where(np.arange(len(codes)) % 5 == 0, (codes + 1) % 3, codes)
    baselines = np.full(12, 0.3, dtype=np.float32)
    weights = draw_weights(codes, None, n_draws=3, n_types=3, seed=1)
    found, n_called = weighted_attributions(members, x, baselines, codes, calls, weights=weights)
    for draw, w in enumerate(weights.astype(int)):
        drawn = np.repeat(np.arange(len(codes)), w)
        expected = type_means(members, x[drawn], baselines, codes[drawn], calls[drawn])
        assert found[draw] == pytest.approx(expected.attributions, abs=1e-5)
        assert n_called[draw].tolist() == expected.n_cells.tolist()


def test_stability_is_a_share_of_draws_and_full_when_every_gene_is_taken(
    members: list[FoldedNetwork], cells: tuple[sp.csr_matrix, np.ndarray]
) -> None:
    x, codes = cells
    baselines = np.asarray(x.mean(axis=0)).ravel().astype(np.float32)
    few = marker_stability(members, x, baselines, codes, codes, np.zeros((3, 12)), n_draws=40, top=2, seed=0)
    assert ((few >= 0) & (few <= 1)).all()
    assert (few.sum(axis=1) <= 2 + 1e-9).all()
    assert marker_stability(
        members, x, baselines, codes, codes, np.zeros((3, 12)), n_draws=40, top=2, seed=0
    ) == pytest.approx(few)
    more = marker_stability(members, x, baselines, codes, codes, np.zeros((3, 12)), n_draws=40, top=12, seed=0)
    assert (more >= few).all()


def test_genes_that_may_not_be_ranked_are_never_selected_and_others_take_their_place(
    members: list[FoldedNetwork], cells: tuple[sp.csr_matrix, np.ndarray]
) -> None:
    x, codes = cells
    baselines = np.asarray(x.mean(axis=0)).ravel().astype(np.float32)
    allowed = np.arange(12) % 2 == 0
    found = marker_stability(
        members, x, baselines, codes, codes, np.zeros((3, 12)), allowed=allowed, n_draws=20, top=2, seed=0
    )
    assert (found[:, ~allowed] == 0).all()


def test_a_type_that_is_never_called_right_has_no_stability(
    members: list[FoldedNetwork], cells: tuple[sp.csr_matrix, np.ndarray]
) -> None:
    x, codes = cells
    calls = np.where(codes == 2, 0, codes)
    found = marker_stability(
        members, x, np.zeros(12, np.float32), codes, calls, np.zeros((3, 12)), n_draws=5, top=2, seed=0
    )
    assert np.isnan(found[2]).all()
    assert np.isfinite(found[:2]).all()
