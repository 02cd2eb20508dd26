"""Temperatures of levels and what is measured of their calls."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax

from cellmark.schemas.manifest.manifest_levels import LevelsEntry, level_sums
from cellmark.training.evaluation.levels_section import (
    LevelMeasures,
    fit_level_temperature,
    measure_levels,
    with_temperatures,
)
from fixtures.drawn_folds import draw, folds_of

TYPES = ("a", "b", "c", "d")
LEVELS = LevelsEntry.model_validate(
    {
        "source": "columns",
        "levels": [
            {
                "name": "two",
                "groups": [{"name": "ab", "cell_types": ["a", "b"]}, {"name": "cd", "cell_types": ["c", "d"]}],
            }
        ],
    }
)
NONE = np.zeros(0, dtype=int)


def measured(logits: np.ndarray, codes: np.ndarray, temperature: float, test: np.ndarray = NONE) -> LevelMeasures:
    return measure_levels(
        LEVELS,
        folds_of(logits, codes, np.arange(len(codes)) % 3),
        codes,
        TYPES,
        temperature=temperature,
        test=test,
        test_probabilities=softmax(logits[test] / temperature, axis=1),
    )


def test_sums_of_calibrated_probabilities_are_calibrated_and_the_temperature_says_so() -> None:
    logits, codes = draw(20_000, 1.0)
    found = measured(logits, codes, 1.0, test=np.arange(500))
    (scores,) = found.scores
    assert fit_level_temperature(level_sums(softmax(logits, axis=1), LEVELS.levels[0].members(TYPES)), codes // 2) == (
        pytest.approx(1, abs=0.05)
    )
    assert scores["calibrated"] < 0.02
    right = (level_sums(softmax(logits, axis=1), LEVELS.levels[0].members(TYPES)).argmax(axis=1) == codes // 2).mean()
    assert scores["accuracy"] == pytest.approx(right, abs=2e-3)
    assert scores["accuracy"] >= scores["of_best_type"]  # labels are drawn by these probabilities
    assert scores["apart"] > 0
    assert (scores["n_cells"], scores["test_n_cells"]) == (20_000, 500)


def test_a_level_that_is_surer_than_its_types_gets_a_temperature_of_its_own() -> None:
    generator = np.random.default_rng(1)
    group, within = generator.normal(0, 1, (20_000, 2)), generator.normal(0, 1, (20_000, 2, 2))
    logits = (log_softmax(group, axis=1)[:, :, None] + log_softmax(within, axis=2)).reshape(-1, 4)
    # The group is drawn by its sum at a temperature of one half, the type within it by what the logits say.
    of_group = (generator.random(20_000) < softmax(2 * group, axis=1)[:, 1]).astype(int)
    of_type = softmax(within, axis=2)[np.arange(20_000), of_group, 1]
    codes = 2 * of_group + (generator.random(20_000) < of_type)
    found = measured(logits.astype(np.float32), codes, 1.0, test=np.arange(6000))
    (scores,), (temperature,) = found.scores, found.temperatures
    assert temperature == pytest.approx(0.5, abs=0.03)
    assert scores["calibrated"] < scores["uncalibrated"] / 2
    assert scores["test_calibrated"] < scores["test_uncalibrated"] / 2


def test_temperatures_stand_in_the_section_and_a_model_without_levels_has_none() -> None:
    section = with_temperatures(LEVELS, [0.8])
    assert section is not None
    assert section["levels"][0]["temperature"] == 0.8
    assert with_temperatures(None, []) is None
    folds = folds_of(np.zeros((4, 4), dtype=np.float32), np.arange(4), np.zeros(4, dtype=int))
    none = measure_levels(
        None, folds, np.arange(4), TYPES, temperature=1, test=NONE, test_probabilities=np.zeros((0, 4))
    )
    assert (none.temperatures, none.scores) == ([], [])
