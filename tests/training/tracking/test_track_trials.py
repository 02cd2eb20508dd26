"""Trials as MLflow runs: states, metrics per epoch, and how few calls they take."""

from typing import Any

import pandas as pd
import pytest
from mlflow import MlflowClient

from cellmark.training.network.fit import Epoch, FitSettings
from cellmark.training.tracking.track_trials import track_trial, trial_metrics, tuning_metrics
from cellmark.training.tuning.tune import Tuned
from cellmark.training.tuning.tune_settings import Trial


def trial(state: Any, *, value: float | None = 0.5, n_epochs: int = 3, reason: str | None = None) -> Trial:
    epochs = tuple(Epoch(number, 1 / number, 2 / number, 0.5, 0.4) for number in range(1, n_epochs + 1))
    return Trial(
        4,
        5,
        9,
        state,
        value,
        0.9,
        "accuracy",
        FitSettings(),
        epochs,
        began=1_700_000_000.25,
        seconds=2.5,
        reason=reason,
    )


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (trial("complete"), "FINISHED", None),
        (trial("pruned"), "FINISHED", None),
        (trial("failed", value=None, reason="time budget"), "FAILED", "time budget"),
    ],
)
def test_a_trial_is_a_run_below_its_training(mlflow_store: str, given: Trial, status: str, reason: str | None) -> None:
    client = MlflowClient(tracking_uri=mlflow_store)
    experiment = client.create_experiment("trials")
    parent = client.create_run(experiment).info.run_id
    track_trial(client, given, experiment_id=experiment, parent_run_id=parent)
    (run,) = client.search_runs([experiment], f"tags.mlflow.parentRunId = '{parent}'")
    assert run.info.status == status
    assert run.data.tags["trial_state"] == given.state
    assert run.data.tags.get("trial_reason") == reason
    assert run.data.metrics.get("value") == given.value
    assert run.data.params["hidden_units"] == "(256,)"
    assert run.data.params["learning_rate"] == "0.001"
    assert (run.info.start_time, run.info.end_time) == (1_700_000_000_250, 1_700_000_002_750)
    history = client.get_metric_history(run.info.run_id, "fit/train_loss")
    assert [(point.step, point.value) for point in history] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]


def test_a_trial_takes_three_calls_and_more_only_for_very_many_epochs() -> None:
    class Client:
        def __init__(self) -> None:
            self.calls: list[str] = []
            self.sizes: list[int] = []

        def create_run(self, *_: Any, **__: Any) -> Any:
            self.calls.append("create")
            return type("Run", (), {"info": type("Info", (), {"run_id": "r"})})

        def log_batch(self, _: str, *, metrics: list[Any], params: list[Any]) -> None:
            self.calls.append("log")
            self.sizes.append(len(metrics))

        def set_terminated(self, *_: Any, **__: Any) -> None:
            self.calls.append("end")

    client: Any = Client()
    track_trial(client, trial("complete", n_epochs=50), experiment_id="1", parent_run_id="p")
    assert client.calls == ["create", "log", "end"]
    many: Any = Client()
    track_trial(many, trial("complete", n_epochs=600), experiment_id="1", parent_run_id="p")
    assert many.sizes == [1000, 1000, 401]
    assert len(trial_metrics(trial("complete", n_epochs=600))) == 2401


def test_the_training_says_what_its_search_came_to() -> None:
    trials = pd.DataFrame({"state": ["complete", "pruned", "pruned", "failed", "complete"]})
    tuned = Tuned(FitSettings(), trials, 4, 0.75, "accuracy", None)
    assert tuning_metrics(tuned) == {
        "tuning/best_value": 0.75, "tuning/best_trial": 4, "tuning/n_complete": 2, "tuning/n_pruned": 2,
        "tuning/n_failed": 1,
    }  # fmt: skip
    assert tuning_metrics(None) == tuning_metrics(Tuned(FitSettings(), trials, None, None, "accuracy", None)) == {}
