"""Tries of the search for settings, each as an MLflow run below the run of the training."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from ..tuning.tune_settings import Trial

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

    from ..tuning.tune import Tuned
    from .run_record import RunLog

METRICS_PER_CALL = 1000
"""MLflow takes no more at once."""


def track_trial(client: "MlflowClient | RunLog", trial: Trial, *, experiment_id: str, parent_run_id: str) -> None:
    """Log a trial that has ended: three calls, whatever its number of epochs below 200.

    A database takes some ten milliseconds for each call, so nothing is logged while a trial runs. A pruned trial is
    FINISHED with the tag `trial_state`; one that was cut short is FAILED, with the reason as a tag.
    """
    from mlflow.entities import Param

    began = int(trial.began * 1000)
    tags = {"mlflow.parentRunId": parent_run_id, "trial_state": trial.state}
    if trial.reason:
        tags["trial_reason"] = trial.reason
    run = client.create_run(experiment_id, start_time=began, tags=tags, run_name=f"trial {trial.number}")
    settings = asdict(trial.settings)
    params = {"trial": trial.number, **settings.pop("shape"), **settings}
    metrics = trial_metrics(trial)
    for start in range(0, max(len(metrics), 1), METRICS_PER_CALL):
        client.log_batch(
            run.info.run_id,
            metrics=metrics[start : start + METRICS_PER_CALL],
            params=[Param(name, str(value)) for name, value in params.items()] if start == 0 else [],
        )
    status = "FAILED" if trial.state == "failed" else "FINISHED"
    client.set_terminated(run.info.run_id, status, end_time=int((trial.began + trial.seconds) * 1000))


def trial_metrics(trial: Trial) -> "list[Metric]":
    """Its final value as `value` and, of every epoch, the measures as `fit/...`, named as those of the training."""
    from mlflow.entities import Metric

    ended = int((trial.began + trial.seconds) * 1000)
    metrics = [
        Metric(f"fit/{name}", float(value), ended, epoch.number)
        for epoch in trial.epochs
        for name, value in epoch.measures().items()
    ]
    if trial.value is not None:
        metrics.append(Metric("value", trial.value, ended, 0))
    return metrics


def tuning_metrics(tuned: "Tuned | None") -> dict[str, float]:
    """What a search came to, for the run of the training; nothing without a search or a complete trial."""
    if tuned is None or tuned.best_number is None or tuned.best_value is None:
        return {}
    counts = tuned.trials["state"].value_counts()
    return {
        "tuning/best_value": tuned.best_value,
        "tuning/best_trial": tuned.best_number,
        **{f"tuning/n_{state}": int(counts.get(state, 0)) for state in ("complete", "pruned", "failed")},
    }
