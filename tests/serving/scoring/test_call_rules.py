"""Conformal label sets: the guarantee on exchangeable cells, thresholds by hand, and how sets are told."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import softmax

from cellmark.schemas.manifest.manifest_trust import LabelSetsEntry, flattened
from cellmark.serving.scoring.call_rules import packed_sets, set_column, set_lists

pytest.importorskip("torch")
from cellmark.training.evaluation.label_sets_section import (
    fit_set_thresholds,
    label_sets,
    label_sets_section,
)
from fixtures.drawn_folds import draw, folds_of


def test_thresholds_are_order_statistics_by_hand() -> None:
    of_label = np.linspace(0.01, 0.99, 99)
    probabilities = np.column_stack([of_label, 1 - of_label])
    fitted = fit_set_thresholds(probabilities, np.zeros(99, dtype=int), error_rate=0.05)
    # floor(0.05 x 100) = 5th smallest; the second type has no cells, so that all together give its threshold.
    np.testing.assert_allclose(fitted.thresholds, [0.05, 0.05])
    assert fitted.pooled.tolist() == [False, True]
    # 18 cells cannot promise 5 %: floor(0.05 x 19) = 0. Only all types can.
    few = fit_set_thresholds(probabilities[:18], np.zeros(18, dtype=int), error_rate=0.05)
    assert few.thresholds.tolist() == [0.0, 0.0]


def test_every_donor_by_itself_keeps_the_promise() -> None:
    of_label = np.r_[np.linspace(0.5, 0.99, 99), np.linspace(0.1, 0.59, 99), [0.05]]
    probabilities, codes = np.column_stack([of_label, 1 - of_label]), np.zeros(199, dtype=int)
    donors = np.repeat([0, 1, 2], [99, 99, 1])
    # The 5th smallest of the first two; the third has too few cells for a rate, and its smallest stands in.
    alone = [
        fit_set_thresholds(probabilities[:n], codes[:n], error_rate=0.05, donors=donors[:n]) for n in (99, 198, 199)
    ]
    np.testing.assert_allclose([one.thresholds[0] for one in alone], [0.52, 0.12, 0.05])
    without = fit_set_thresholds(probabilities, codes, error_rate=0.05)
    np.testing.assert_allclose(without.thresholds[0], np.sort(of_label)[9])


@pytest.mark.parametrize("error_rate", [0.01, 0.05, 0.2])
def test_the_label_is_left_out_for_no_more_than_the_error_rate_of_each_type(error_rate: float) -> None:
    left_out = []
    for seed in range(20):
        logits, codes = draw(4000, 1.5, seed=seed)
        probabilities = softmax(logits, axis=1)
        fitted = fit_set_thresholds(probabilities[:2000], codes[:2000], error_rate=error_rate)
        assert not fitted.pooled.any()
        found = label_sets(probabilities[2000:], fitted.thresholds)
        missed = ~found[np.arange(2000), codes[2000:]]
        left_out.append([missed[codes[2000:] == code].mean() for code in range(4)])
    # About 500 cells of a type to calibrate on and as many to test on, 20 times: three standard errors of that mean.
    by_chance = 3 * np.sqrt(error_rate * (1 - error_rate) * (2 / 500) / 20)
    assert np.mean(left_out, axis=0).max() < error_rate + by_chance
    assert np.mean(left_out) > error_rate / 2


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flatter_probabilities_are_those_of_a_higher_temperature(dtype: type) -> None:
    logits, _ = draw(300, 2.0)
    probabilities = softmax(logits, axis=1).astype(dtype)
    found = flattened(probabilities, 4.0)
    assert found.dtype == dtype
    np.testing.assert_allclose(found, softmax(logits / 4, axis=1), rtol=1e-5)
    assert flattened(probabilities, 1.0) is probabilities


def test_sets_as_served_are_those_that_were_measured() -> None:
    logits, codes = draw(4000, 1.0)
    fold_of = np.repeat([0, 1], 2000)
    test = np.arange(1000)
    probabilities = softmax(logits, axis=1)
    section = label_sets_section(
        folds_of(logits, codes, fold_of), codes, ("a", "b", "c", "d"), temperature=1.0, test=test,
        test_probabilities=probabilities[test],
    )  # fmt: skip
    assert section is not None
    entry = LabelSetsEntry.model_validate(section)
    for level in entry.levels:
        served = packed_sets(
            probabilities[test].astype(np.float32), np.array(level.thresholds, dtype=np.float32),
            flattening=entry.flattening,
        )  # fmt: skip
        held = np.unpackbits(served, axis=1, count=4).astype(bool)
        assert held[test, codes[test]].mean() == pytest.approx(level.test_coverage, abs=2e-3)
        assert held.sum(axis=1).mean() == pytest.approx(level.test_mean_size, abs=5e-3)


def test_a_set_always_holds_the_best_type() -> None:
    found = label_sets(np.array([[0.4, 0.35, 0.25], [0.9, 0.05, 0.05]]), np.array([0.95, 0.3, 0.95]))
    assert found.tolist() == [[True, True, False], [True, False, False]]


def test_coverage_of_a_fold_is_measured_with_thresholds_of_the_others() -> None:
    logits, codes = draw(6000, 1.0)
    wrong = (codes + 1) % 4
    fold_of = np.repeat([0, 1, 2], 2000)
    strange = np.where(fold_of == 2, wrong, codes)  # in the third fold the networks are wrong by design
    section = label_sets_section(
        folds_of(logits, strange, fold_of), strange, ("a", "b", "c", "d"), temperature=1.0,
        test=np.zeros(0, dtype=int), test_probabilities=np.zeros((0, 4)),
    )  # fmt: skip
    assert section is not None
    entry = LabelSetsEntry.model_validate(section)
    assert [level.error_rate for level in entry.levels] == [0.01, 0.05]
    first = entry.levels[0]
    assert first.coverage_per_fold["d0"] > 0.97
    assert first.coverage_per_fold["d2"] < 0.95
    assert first.coverage == pytest.approx(np.mean(list(first.coverage_per_fold.values())))
    assert first.test_coverage is None


def test_sets_survive_packing_and_are_told_in_the_types_order() -> None:
    names = [f"type {number}" for number in range(11)]
    names[3] = "T | NK"  # a name that holds the separator
    generator = np.random.default_rng(0)
    probabilities = softmax(generator.normal(0, 2, (500, 11)), axis=1)
    thresholds = np.full(11, 0.1)
    packed = packed_sets(probabilities, thresholds)
    column = pd.Series(set_column(packed, 500, names))
    expected = label_sets(probabilities, thresholds)
    for found, held in zip(set_lists(packed, names), expected, strict=True):
        assert found == [name for name, there in zip(names, held, strict=True) if there]
    assert column.iloc[0] == " | ".join(np.array(names)[expected[0]])


def test_a_model_without_sets_tells_none() -> None:
    column = pd.Series(set_column(None, 3, ["a", "b"]))
    assert column.isna().all()
    assert len(set_column(np.zeros((0, 1), dtype=np.uint8), 0, ["a"])) == 0
