import numpy as np
import pytest
from sklearn.metrics import f1_score

from cellmark.training.evaluation.evaluate import evaluate, flat_metrics, metric_names, per_type_frame

TYPES = ("B cell", "CD4+ T cell", "CD4- T cell")


def measured() -> dict[str, object]:
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 60)
    calls = np.where(generator.random(60) < 0.7, labels, generator.integers(0, 3, 60))
    return {"labels": labels, "calls": calls, "metrics": {"test": evaluate(labels, calls, TYPES)}}


def test_measures_are_scikit_learns() -> None:
    data = measured()
    flat = flat_metrics(data["metrics"])
    expected = f1_score(data["labels"], data["calls"], average=None)
    assert [flat["test_f1/B cell"], flat["test_f1/CD4pos T cell"], flat["test_f1/CD4- T cell"]] == pytest.approx(
        list(expected)
    )
    assert flat["test_macro_f1"] == pytest.approx(f1_score(data["labels"], data["calls"], average="macro"))
    assert flat["test_accuracy"] == np.mean(data["labels"] == data["calls"])
    assert flat["test_n_cells"] == 60


def test_what_was_not_measured_is_left_out() -> None:
    flat = flat_metrics({"independent": evaluate(np.array([-1, -1]), np.array([0, 1]), TYPES)})
    assert flat == {"independent_n_cells": 0, "independent_n_unknown_cells": 2}


def test_names_of_metrics_are_ones_that_mlflow_takes_and_all_differ() -> None:
    from mlflow.utils.validation import _validate_metric_name

    types = ["CD4+", "CD4-", "CD4_", "a/b", "a,b", "a(b)", "..", "T (naïve)", "", "x" * 400, "x" * 401, "γδ T", "."]
    names = metric_names(types)
    assert len(set(names)) == len(types)
    for name in names:
        _validate_metric_name(f"test_f1/{name}")


def test_the_table_keeps_the_types_own_names() -> None:
    table = per_type_frame(measured()["metrics"])
    assert list(table["cell_type"]) == list(TYPES)
    assert table["support"].sum() == 60
