"""Temperature and the scores of calibration, against closed forms and scikit-learn."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import softmax
from sklearn.metrics import brier_score_loss, log_loss

from cellmark.schemas.manifest.manifest_trust import CalibrationEntry, CalibrationScore
from cellmark.training.evaluation.calibration_section import (
    calibration_score,
    calibration_section,
    fit_temperature,
    fold_temperatures,
)
from fixtures.drawn_folds import draw, folds_of


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.5])
def test_the_temperature_that_made_the_labels_is_found(temperature: float) -> None:
    logits, codes = draw(20_000, temperature)
    assert fit_temperature(logits, codes) == pytest.approx(temperature, rel=0.05)


def test_without_cells_nothing_is_changed() -> None:
    assert fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int)) == 1.0


@pytest.mark.parametrize("n_cells", [30, 300])
def test_few_cells_that_are_all_right_leave_some_doubt(n_cells: int) -> None:
    codes = np.arange(n_cells) % 3
    logits = 2.0 * np.eye(3)[codes]
    confidence = softmax(logits / fit_temperature(logits, codes), axis=1).max(axis=1)
    # Of equal cells the smoothed likelihood is largest where the probability is what is wanted of it.
    np.testing.assert_allclose(confidence, 1 - 1 / (n_cells + 2), rtol=1e-3)


def test_scores_are_those_of_scikit_learn_and_of_a_loop() -> None:
    logits, codes = draw(1003, 2.0)
    probabilities = softmax(logits.astype(np.float64), axis=1)
    found = calibration_score(probabilities, codes)
    assert found["log_loss"] == pytest.approx(log_loss(codes, probabilities))
    each = [brier_score_loss(codes == code, probabilities[:, code]) for code in range(4)]
    assert found["brier_score"] == pytest.approx(sum(each))
    order = np.argsort(probabilities.max(axis=1), kind="stable")
    sizes = [67] * 13 + [66] * 2  # 1003 cells in 15 bins
    error, start = 0.0, 0
    for size in sizes:
        cells = order[start : start + size]
        right = np.mean([probabilities[cell].argmax() == codes[cell] for cell in cells])
        error += size / 1003 * abs(right - np.mean([probabilities[cell].max() for cell in cells]))
        start += size
    assert found["expected_calibration_error"] == pytest.approx(error)
    assert [one["n_cells"] for one in found["bins"]] == sizes
    CalibrationScore.model_validate(found)


def test_fewer_cells_than_bins() -> None:
    found = calibration_score(np.array([[0.9, 0.1], [0.2, 0.8]]), np.array([0, 0]))
    assert found["n_cells"] == sum(one["n_cells"] for one in found["bins"]) == 2
    assert found["expected_calibration_error"] == pytest.approx((0.1 + 0.8) / 2)


def test_each_fold_is_scored_with_the_temperature_of_the_others() -> None:
    sure, codes_a = draw(4000, 3.0, seed=1)
    unsure, codes_b = draw(4000, 0.6, seed=2)
    logits, codes = np.vstack([sure, unsure]), np.r_[codes_a, codes_b]
    held_out = folds_of(logits, codes, np.repeat([0, 1], 4000))
    first, second = fold_temperatures(held_out, codes)
    assert first == pytest.approx(0.6, rel=0.1)
    assert second == pytest.approx(3.0, rel=0.1)
    section = calibration_section(held_out, codes, test=np.zeros(0, dtype=int), test_logits=np.zeros((0, 4)))
    assert section is not None
    entry = CalibrationEntry.model_validate(section)
    # Each fold gets the temperature that is wrong for it: a score on the cells of the fit would have hidden it.
    assert entry.calibrated.log_loss > entry.uncalibrated.log_loss
    assert first < entry.temperature < second
    assert entry.test_calibrated is None


def test_calibration_brings_confidence_to_accuracy_on_cells_it_never_saw() -> None:
    logits, codes = draw(26_000, 3.0)
    test = np.arange(6000, 26_000)  # bins of 1,333 cells, of which chance alone leaves about 0.01
    held_out = folds_of(logits, codes, np.r_[np.arange(6000) % 3, np.full(20_000, -1)])
    section = calibration_section(held_out, codes, test=test, test_logits=logits[test])
    assert section is not None
    entry = CalibrationEntry.model_validate(section)
    assert (entry.n_cells, entry.n_folds, entry.folds) == (6000, 3, "donors")
    assert entry.test_uncalibrated is not None
    assert entry.test_calibrated is not None
    assert entry.test_uncalibrated.expected_calibration_error > 0.15
    assert entry.test_calibrated.expected_calibration_error < 0.02
    assert entry.calibrated.brier_score < entry.uncalibrated.brier_score


def test_cells_of_types_that_a_fold_did_not_learn_say_nothing() -> None:
    logits, codes = draw(3000, 1.0)
    fold_of = np.arange(3000) % 2
    held_out = folds_of(logits, codes, fold_of)
    learned = held_out.learned.copy()
    learned[0, 2] = False
    held_out = replace(held_out, learned=learned)
    judged = held_out.judged(codes)
    assert not ((fold_of[judged] == 0) & (codes[judged] == 2)).any()
    assert len(judged) == 3000 - ((fold_of == 0) & (codes == 2)).sum()
    none = replace(held_out, learned=np.zeros_like(learned))
    assert calibration_section(none, codes, test=np.zeros(0, dtype=int), test_logits=np.zeros((0, 4))) is None
