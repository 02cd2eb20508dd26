"""Measures against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, classification_report, f1_score

from cellmark.training.evaluation.evaluate import evaluate

TYPES = ("B", "NK", "T")


def test_a_small_case_by_hand() -> None:
    #  labels B B B NK, calls B B T NK: B has precision 1 and recall 2/3, T is called once and never right.
    result = evaluate(np.array([0, 0, 0, 1]), np.array([0, 0, 2, 1]), TYPES)
    assert result["accuracy"] == 0.75
    assert result["per_type"] == {
        "B": {"precision": 1.0, "recall": pytest.approx(2 / 3), "f1": pytest.approx(0.8), "support": 3},
        "NK": {"precision": 1.0, "recall": 1.0, "f1": 1.0, "support": 1},
    }
    assert result["macro_f1"] == pytest.approx(0.9)
    assert result["confusion"] == [[2, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_drawn_calls_equal_scikit_learn() -> None:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 200)
    calls = np.where(generator.random(200) < 0.7, labels, generator.integers(0, 3, 200))
    result = evaluate(labels, calls, TYPES)
    assert result["accuracy"] == pytest.approx(accuracy_score(labels, calls))
    assert result["macro_f1"] == pytest.approx(f1_score(labels, calls, average="macro"))
    report = classification_report(labels, calls, target_names=TYPES, output_dict=True)
    for name in TYPES:
        assert result["per_type"][name]["f1"] == pytest.approx(report[name]["f1-score"])
        assert result["per_type"][name]["support"] == report[name]["support"]
    assert np.trace(result["confusion"]) == (labels == calls).sum()


def test_cells_of_unknown_types_are_counted_and_enter_nothing_else() -> None:
    labels, calls = np.array([0, -1, 1, -1, 2]), np.array([0, 1, 1, 2, 0])
    known = labels >= 0
    result = evaluate(labels, calls, TYPES)
    assert result.pop("n_unknown_cells") == 2
    expected = evaluate(labels[known], calls[known], TYPES)
    assert expected.pop("n_unknown_cells") == 0
    assert result == expected


def test_nothing_known_gives_no_measures() -> None:
    result = evaluate(np.array([-1, -1]), np.array([0, 1]), TYPES)
    assert (result["n_cells"], result["n_unknown_cells"]) == (0, 2)
    assert result["accuracy"] is None
    assert result["macro_f1"] is None


def test_measures_are_plain_json() -> None:
    result = evaluate(np.array([0, 1, -1]), np.array([0, 0, 0]), TYPES)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
