"""The floors that follow from a curve, and the section of a trained model."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from cellmark.training.evaluation.overlap import (
    HIGHEST,
    LOWEST,
    MASSES,
    N_DRAWS,
    LostGenes,
    draw_orders,
    floor_of,
    type_curve,
)

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
    assert (overlap.treatment, overlap.evaluated_on, overlap.n_draws) == ("baseline", "out_of_fold", 2 * N_DRAWS)
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
