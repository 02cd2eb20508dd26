"""Calls at each level: the temperature of its sums, and how often they are right on cells not learned from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import softmax

from cellmark.schemas.manifest.manifest_evaluation import LevelScores
from cellmark.schemas.manifest.manifest_levels import LevelEntry, LevelsEntry, level_sums

from .calibration_section import calibration_score, fit_temperature, fold_temperatures
from .evaluate import evaluate
from .out_of_fold import OutOfFold

SMALLEST = 1e-30
"""In place of a sum of 0, which has no logarithm."""


@dataclass(frozen=True)
class LevelMeasures:
    """`temperatures`: of each level; `scores`: as `LevelScores`. Both empty for a model without levels; the scores also
    where no fold could be judged.
    """

    temperatures: list[float] = field(default_factory=list)
    scores: list[dict[str, Any]] = field(default_factory=list)


def measure_levels(
    levels: LevelsEntry | None,
    held_out: OutOfFold,
    codes: np.ndarray,
    cell_types: Sequence[str],
    *,
    temperature: float,
    test: np.ndarray,
    test_probabilities: np.ndarray,
) -> LevelMeasures:
    """`codes`: int [cells], numbers of `cell_types`; `temperature`: of the types' logits, the registered model's;
    `test`: numbers of the test cells; `test_probabilities`: calibrated, test cells x types.
    """
    if levels is None:
        return LevelMeasures()
    cells = held_out.judged(codes)
    if len(cells) == 0:
        return LevelMeasures([1.0] * len(levels.levels))
    measured = [
        _measure(level, held_out, codes, cells, cell_types, temperature, test, test_probabilities)
        for level in levels.levels
    ]
    return LevelMeasures([one[0] for one in measured], [one[1] for one in measured])


def fit_level_temperature(sums: np.ndarray, codes: np.ndarray) -> float:
    """As `fit_temperature`, of the logarithms of the sums. `sums`: cells x groups; `codes`: int [cells], of groups."""
    return fit_temperature(np.log(np.maximum(sums, SMALLEST)), codes)


def _measure(
    level: LevelEntry,
    held_out: OutOfFold,
    codes: np.ndarray,
    cells: np.ndarray,
    cell_types: Sequence[str],
    temperature: float,
    test: np.ndarray,
    test_probabilities: np.ndarray,
) -> tuple[float, dict[str, Any]]:
    """The temperature of a level, and its scores. Every cell is judged by what cells of other folds gave."""
    members, group_of = level.members(cell_types), level.group_of(cell_types)
    groups, logits, fold_of = group_of[codes[cells]], held_out.logits[cells], held_out.plan.fold_of[cells]
    sums, own = np.empty((2, len(cells), len(level.groups)))
    best = np.empty(len(cells), dtype=int)
    for number, of_types in enumerate(fold_temperatures(held_out, codes)):
        probabilities = softmax(logits / of_types, axis=1)
        all_sums, inside = level_sums(probabilities, members), fold_of == number
        of_level = fit_level_temperature(all_sums[~inside], groups[~inside])
        sums[inside], own[inside] = all_sums[inside], level_sums(probabilities[inside], members, of_level)
        best[inside] = group_of[probabilities[inside].argmax(axis=1)]
    before, after = calibration_score(sums, groups), calibration_score(own, groups)
    error = "expected_calibration_error"
    # Sums of calibrated probabilities are mostly calibrated already: only what helps on other folds is served.
    helps = after[error] < before[error] and after["log_loss"] < before["log_loss"]
    all_cells = level_sums(softmax(logits / temperature, axis=1), members)
    kept = fit_level_temperature(all_cells, groups) if helps else 1.0
    called = sums.argmax(axis=1)
    scores = {
        "name": level.name,
        "n_cells": len(cells),
        **_right(groups, called, level),
        "of_best_type": float((best == groups).mean()),
        "apart": float((best != called).mean()),
        "uncalibrated": before[error],
        "calibrated": (after if helps else before)[error],
    }
    if len(test):
        of_test, served = (level_sums(test_probabilities, members, one) for one in (1.0, kept))
        labels = group_of[codes[test]]
        found = {
            "n_cells": len(test),
            **_right(labels, of_test.argmax(axis=1), level),
            "uncalibrated": calibration_score(of_test, labels)[error],
            "calibrated": calibration_score(served, labels)[error],
        }
        scores |= {f"test_{name}": value for name, value in found.items()}
    return kept, LevelScores.model_validate(scores).model_dump(mode="json")


def _right(labels: np.ndarray, called: np.ndarray, level: LevelEntry) -> dict[str, Any]:
    found = evaluate(labels, called, level.names)
    return {name: found[name] for name in ("accuracy", "macro_f1")}


def with_temperatures(levels: LevelsEntry | None, temperatures: Sequence[float]) -> dict[str, Any] | None:
    """As `LevelsEntry`, with what was fitted."""
    if levels is None:
        return None
    section = levels.model_dump(mode="json")
    for level, temperature in zip(section["levels"], temperatures, strict=True):
        level["temperature"] = temperature
    return LevelsEntry.model_validate(section).model_dump(mode="json")
