"""A model is called weak where a measure on enough held-out cells is beyond its stated limit, and only there."""

from typing import Any

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.manifest_trust import LeftOutType
from cellmark.schemas.manifest.verdict import LIMITS, verdict, weaknesses
from fixtures.places import ARCHIVES


@pytest.fixture(scope="module")
def sound() -> Manifest:
    """A manifest with every measure, each within its limit."""
    raw = Bundle.open(ARCHIVES / "v1").manifest.model_dump()
    score: dict[str, Any] = {"n_cells": 400, "expected_calibration_error": 0.02, "brier_score": 0.1, "log_loss": 0.1}
    level = {"error_rate": 0.01, "thresholds": [], "coverage": 0.99, "mean_size": 1.3, "share_of_one": 0.8}
    left_out = {
        "cell_type": "B",
        "fold": "1",
        "n_unknown": 80,
        "n_known": 300,
        "auroc": 0.9,
        "auroc_of_confidence": 0.8,
    }
    folds = {"folds": "cells", "n_cells": 400}
    raw |= {
        "calibration": {**folds, "temperature": 1.0, "n_folds": 5, "uncalibrated": score, "calibrated": score},
        "label_sets": {**folds, "default_error_rate": 0.01, "levels": [level]},
        "novelty": {
            **folds,
            "score": "x",
            "threshold": 1.0,
            "false_refusal_rate": 0.02,
            "left_out": [{**left_out, "auroc_of_confidence": 0.8, "refused": 0.5, "known_refused": 0.02}],
        },
        "evaluation": {
            **folds,
            "n_folds": 5,
            "accuracy": {"value": 0.95},
            "macro_f1": {"value": 0.9},
            "evaluated_on": "out_of_fold",
        },
    }
    return Manifest.model_validate(raw)


def changed(manifest: Manifest, section: str, **changes: object) -> Manifest:
    entry = getattr(manifest, section).model_copy(update=changes)
    return manifest.model_copy(update={section: entry})


def test_a_model_within_all_limits_is_called_that(sound: Manifest) -> None:
    assert weaknesses(sound) == []
    assert verdict(sound) == f"Within cellmark's limits ({LIMITS})."


def test_each_measure_beyond_its_limit_is_named_with_its_cells(sound: Manifest) -> None:
    accuracy = sound.evaluation.accuracy.model_copy(update={"value": 0.7})  # type: ignore[union-attr]
    score = sound.calibration.calibrated.model_copy(update={"expected_calibration_error": 0.12})  # type: ignore[union-attr]
    level = sound.label_sets.levels[0].model_copy(update={"mean_size": 6.1})  # type: ignore[union-attr]
    refused = [LeftOutType(**{**sound.novelty.left_out[0].model_dump(), "refused": 0.025})]  # type: ignore[union-attr]
    weak = changed(sound, "evaluation", accuracy=accuracy)
    assert weaknesses(weak) == ["70.0% of 400 cross-validated cells called right (limit 80%)"]
    weak = changed(weak, "calibration", calibrated=score)
    weak = changed(weak, "label_sets", levels=[level])
    weak = changed(weak, "novelty", left_out=refused)
    assert verdict(weak) == (
        "Weak: 70.0% of 400 cross-validated cells called right (limit 80%); probabilities 12.0% from accuracy on 400 "
        "held-out cells (limit 5%); label sets of 6.1 types on the mean of 400 held-out cells (limit 3); 2 of 80 cells "
        "of types that a network was not shown stayed unassigned (limit 10%)."
    )


def test_what_rests_on_few_cells_counts_as_not_measured(sound: Manifest) -> None:
    few = [LeftOutType(**{**sound.novelty.left_out[0].model_dump(), "refused": 0.0, "n_unknown": 49})]  # type: ignore[union-attr]
    found = changed(sound, "novelty", left_out=few).model_copy(update={"label_sets": None})
    assert weaknesses(found) == []
    assert verdict(found) == f"Within cellmark's limits ({LIMITS}); not measured: label sets, unknown cells."


def test_types_that_folds_could_not_learn_do_not_count(sound: Manifest) -> None:
    judged = {"n_cells": 300, "accuracy": 1.0, "macro_f1": 1.0, "confusion": [[200, 0], [30, 70]]}
    raw = sound.model_dump()
    raw["evaluation"] |= {"accuracy": {"value": 0.5}, "judged": judged}
    assert weaknesses(Manifest.model_validate(raw)) == []
