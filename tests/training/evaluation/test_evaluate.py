"""Measures against scikit-learn and by hand."""

import json

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import accuracy_score, classification_report, confusion_matrix, f1_score

from cellmark.training.evaluation.evaluate import (
    accuracy_of,
    confusion,
    evaluate,
    flat_metrics,
    intervals,
    macro_f1_of,
    metric_names,
    per_type_frame,
)

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


def draw(n_cells: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    labels = generator.choice(4, n_cells, p=[0.5, 0.3, 0.15, 0.05])
    calls = np.where(generator.random(n_cells) < 0.85, labels, generator.integers(0, 4, n_cells))
    return labels, calls


def test_measures_of_confusions_are_those_of_scikit_learn() -> None:
    labels, calls = draw(300)
    found = confusion(labels, calls, 5)  # the fifth type has no cells
    np.testing.assert_array_equal(found, confusion_matrix(labels, calls, labels=range(5)))
    assert float(accuracy_of(found)) == pytest.approx(accuracy_score(labels, calls))
    assert float(macro_f1_of(found)) == pytest.approx(f1_score(labels, calls, average="macro"))
    both = np.stack([found, confusion(calls, labels, 5)])
    assert macro_f1_of(both).tolist() == pytest.approx([float(macro_f1_of(each)) for each in both])


def test_a_type_that_is_called_and_has_no_cells_does_not_enter_the_macro_f1() -> None:
    labels, calls = np.array([0, 0, 1, 1]), np.array([0, 2, 1, 1])
    assert float(macro_f1_of(confusion(labels, calls, 3))) == pytest.approx((2 / 3 + 1.0) / 2)


def test_intervals_over_cells_are_those_of_resampling_cells_one_by_one() -> None:
    labels, calls = draw(400)
    accuracy, macro_f1 = intervals(labels, calls, 4, seed=0)
    generator = np.random.default_rng(1)
    resampled = []
    for _ in range(2_000):
        rows = generator.integers(0, 400, 400)
        resampled.append(
            (accuracy_score(labels[rows], calls[rows]), f1_score(labels[rows], calls[rows], average="macro"))
        )
    for found, values in zip((accuracy, macro_f1), np.array(resampled).T, strict=True):
        assert found.over == "cells"
        assert [found.low, found.high] == pytest.approx(np.quantile(values, [0.025, 0.975]).tolist(), abs=0.008)
    assert accuracy.value == pytest.approx(accuracy_score(labels, calls))
    assert macro_f1.value == pytest.approx(f1_score(labels, calls, average="macro"))


def test_donors_that_differ_widen_the_interval_and_few_donors_leave_it_to_cells() -> None:
    generator = np.random.default_rng(0)
    donors = np.repeat([f"d{number}" for number in range(8)], 100)
    labels = generator.integers(0, 2, 800)
    wrong = generator.random(800) < np.repeat(np.linspace(0, 0.4, 8), 100)
    calls = np.where(wrong, 1 - labels, labels)
    of_cells, _ = intervals(labels, calls, 2, seed=0)
    of_donors, _ = intervals(labels, calls, 2, donors=donors, seed=0)
    few, _ = intervals(labels[:400], calls[:400], 2, donors=donors[:400], seed=0)
    assert (of_donors.over, few.over) == ("donors", "cells")
    assert of_donors.low is not None
    assert of_donors.high is not None
    assert of_cells.low is not None
    assert of_cells.high is not None
    assert of_donors.high - of_donors.low > 2 * (of_cells.high - of_cells.low)
    assert of_donors.low < of_donors.value < of_donors.high


def test_no_cells_have_no_interval() -> None:
    nothing = np.zeros(0, dtype=int)
    for found in intervals(nothing, nothing, 3, seed=0):
        assert (found.low, found.high, found.over) == (None, None, None)


@pytest.mark.parametrize("n_cells", [25, 319])
def test_calls_that_are_all_right_do_not_promise_that_all_will_be(n_cells: int) -> None:
    labels = np.arange(n_cells) % 4
    accuracy, macro_f1 = intervals(labels, labels, 4, donors=labels.astype(str), seed=0)
    exact = binomtest(n_cells, n_cells).proportion_ci(0.95, method="exact")
    assert (accuracy.low, accuracy.high) == pytest.approx((exact.low, exact.high))
    assert (accuracy.value, accuracy.over) == (1.0, "cells")
    assert (macro_f1.value, macro_f1.low, macro_f1.high) == (1.0, None, None)


NAMED_TYPES = ("B cell", "CD4+ T cell", "CD4- T cell")


def measured() -> dict[str, object]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    calls = np.where(generator.random(60) < 0.7, labels, generator.integers(0, 3, 60))
    return {"labels": labels, "calls": calls, "metrics": {"test": evaluate(labels, calls, NAMED_TYPES)}}


def test_measures_are_scikit_learns() -> None:
    data = measured()
    flat = flat_metrics(data["metrics"])
    expected = f1_score(data["labels"], data["calls"], average=None)
    assert [flat["test/f1/B cell"], flat["test/f1/CD4pos T cell"], flat["test/f1/CD4- T cell"]] == pytest.approx(
        list(expected)
    )
    assert flat["test/macro_f1"] == pytest.approx(f1_score(data["labels"], data["calls"], average="macro"))
    assert flat["test/accuracy"] == np.mean(data["labels"] == data["calls"])
    assert flat["test/n_cells"] == 60


def test_what_was_not_measured_is_left_out() -> None:
    flat = flat_metrics({"independent": evaluate(np.array([-1, -1]), np.array([0, 1]), NAMED_TYPES)})
    assert flat == {"independent/n_cells": 0, "independent/n_unknown_cells": 2}


def test_names_of_metrics_are_ones_that_mlflow_takes_and_all_differ() -> None:
    from mlflow.utils.validation import _validate_metric_name

    types = ["CD4+", "CD4-", "CD4_", "a/b", "a,b", "a(b)", "..", "T (naïve)", "", "x" * 400, "x" * 401, "γδ T", "."]
    names = metric_names(types)
    assert len(set(names)) == len(types)
    for name in names:
        _validate_metric_name(f"test/f1/{name}")


def test_the_table_keeps_the_types_own_names() -> None:
    table = per_type_frame(measured()["metrics"])
    assert list(table["cell_type"]) == list(NAMED_TYPES)
    assert table["support"].sum() == 60
