"""A drift report as an MLflow run: measures as metrics, the report as artifacts, tied to the model version by tags."""

import math
import tempfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from cellmark.schemas.drift.drift_report import ORDER, DriftReport
from cellmark.schemas.drift.drift_words import verdict
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import current_user, find_experiment

from .model_source import ModelSource
from .registry import refusals, upload

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "cellmark-drift"
LONGEST_NOTE = 5000
"""Characters that every version of MLflow takes in a tag."""
REPORT, FACTS = "drift.html", "drift.json"


def log_drift(
    client: "MlflowClient",
    report: DriftReport,
    source: ModelSource,
    *,
    page: str,
    text: str,
    experiment: str | None = None,
) -> str:
    """Log a report as a run of its own and return the run's id. `page`, `text`: the report as HTML and JSON.

    `experiment`: its name; by default `MLFLOW_EXPERIMENT_NAME`, else `cellmark-drift`; made when missing. Raises
    `RegistryError` (`REGISTRY_REFUSED`) when MLflow does not take something; the run is FAILED then.
    """
    given = Path(str(report.facts.get("input", "cells"))).name
    with refusals(client.tracking_uri):
        run = client.create_run(
            find_experiment(client, experiment, default=EXPERIMENT),
            run_name=f"drift {given}",
            tags=_tags(report, source),
        )
        run_id: str = run.info.run_id
        try:
            for name, value in drift_metrics(report).items():
                client.log_metric(run_id, name, value)
            with tempfile.TemporaryDirectory(prefix="cellmark-") as scratch:
                for name, content in ((REPORT, page), (FACTS, text)):
                    (Path(scratch) / name).write_text(content, encoding="utf-8", newline="\n")
                upload(client, run_id, Path(scratch))
        except BaseException:
            with suppress(Exception):  # the first error is the one to tell
                client.set_terminated(run_id, "FAILED")
            raise
        client.set_terminated(run_id, "FINISHED")
    return run_id


def drift_metrics(report: DriftReport) -> dict[str, float]:
    """Numbers of a report in groups, below none of those that trainings have. `drift/severity` is 0, 1 or 2 (ok, moved,
    far); what was not measured is absent.
    """
    found: dict[str, float | None] = {
        "drift/n_cells": report.n_cells,
        "drift/severity": None if report.severity is None else ORDER[report.severity],
        "drift/n_types_outside": sum(one.outside is True for one in report.cell_types),
    }
    for measure in report.measures:
        found[f"drift/{measure.name}/effect"] = measure.effect
        found[f"drift/{measure.name}/observed"] = measure.observed
        found[f"drift/{measure.name}/ks"] = measure.ks
    return {name: float(value) for name, value in found.items() if value is not None and math.isfinite(value)}


def _tags(report: DriftReport, source: ModelSource) -> dict[str, str]:
    """Who, what and of which model: by the names that training's runs use."""
    given = Path(str(report.facts.get("input", "cells"))).name
    of_version = {} if source.version is None else {"registered_model": source.name, "model_version": source.version}
    return {
        "mlflow.user": current_user(),
        "mlflow.source.name": "cellmark drift",
        "mlflow.source.type": "LOCAL",
        "mlflow.note.content": verdict(report)[:LONGEST_NOTE],
        tags.CELLMARK_VERSION: version("cellmark"),
        tags.BUNDLE_DIGEST: source.bundle.digest,
        "drift": report.severity or "not judged",
        "input": given,
        "compared": str(report.facts.get("compared", "")),
        **of_version,
        **({"distilled": "true"} if report.facts.get("distilled") else {}),
    }
