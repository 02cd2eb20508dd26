"""A model among those of its experiment, MLflow's LoggedModel: its files, settings and measures, and its versions."""

import json
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cellmark.schemas.errors import RegistryError
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import VARIABLE, is_server, registry_of

from .open_run import send_metrics, store_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

MODEL_FOLDER = tags.RUN_MODEL
"""Where in a run's artifacts the model lies that MLflow has no LoggedModel for."""
MODEL_TYPE = "cell type annotator"
VERSIONS = "mlflow.modelVersions"
NOTE = "mlflow.note.content"
ORIGIN = {"mlflow.user", "mlflow.source.name", "mlflow.source.type"}
"""Tags of a run that its model takes over."""
NO_LOGGED_MODELS = ("ENDPOINT_NOT_FOUND", "NOT_IMPLEMENTED", "FEATURE_DISABLED")
"""What servers before MLflow 3 answer."""


@dataclass(frozen=True)
class StoredModel:
    """A place for the files of a model. `model_id`: of the LoggedModel; None for a server without them, where the files
    are artifacts of the run. `source`: what a version of the registry names. `location`: of the files.
    """

    run_id: str
    model_id: str | None
    source: str
    location: str


def create_logged_model(
    client: "MlflowClient", run: "Run", *, name: str, facts: Mapping[str, str], description: str
) -> StoredModel:
    """A new model of the run's experiment, with the run's parameters and as yet without files."""
    from mlflow.entities import LoggedModelOutput
    from mlflow.exceptions import MlflowException

    run_id, artifacts = run.info.run_id, f"{run.info.artifact_uri}/{MODEL_FOLDER}"
    try:
        model = client.create_logged_model(
            run.info.experiment_id,
            name=name.replace("'", ""),
            source_run_id=run_id,
            tags={**{key: run.data.tags[key] for key in ORIGIN & set(run.data.tags)}, **facts, NOTE: description},
            params=dict(run.data.params),
            model_type=MODEL_TYPE,
        )
    except (MlflowException, NotImplementedError) as error:
        if isinstance(error, MlflowException) and error.error_code not in NO_LOGGED_MODELS:
            raise
        return StoredModel(run_id, None, artifacts, artifacts)
    if NOTE not in run.data.tags:
        client.set_tag(run_id, NOTE, description)
    client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step=0)])
    return StoredModel(run_id, model.model_id, f"models:/{model.model_id}", model.artifact_location)


def send_files(client: "MlflowClient", stored: StoredModel, folder: Path) -> None:
    """Log all files of `folder`, and compare what the artifact store lists with them: some stores fail in silence.

    Raises `RegistryError` (`REGISTRY_REFUSED`) when something did not arrive.
    """
    wanted = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    with store_refusals(stored.location):
        if stored.model_id is None:
            client.log_artifacts(stored.run_id, str(folder), MODEL_FOLDER)
        else:
            client.log_model_artifacts(stored.model_id, str(folder))
        missing = sorted(wanted - _listed(client, stored))
    if missing:
        raise RegistryError.of(
            "REGISTRY_REFUSED",
            where="artifacts",
            expected=f"all {len(wanted)} files of the model in the artifact store",
            found=f"{len(missing)} missing",
            remedy="Check the artifact store and its rights, then train again.",
            examples=tuple(missing[:5]),
        )
    if stored.model_id is not None:
        client.finalize_logged_model(stored.model_id, "READY")


def _listed(client: "MlflowClient", stored: StoredModel) -> set[str]:
    """The model's files in the artifact store, by their place below its folder."""
    there: set[str] = set()
    folders = [MODEL_FOLDER if stored.model_id is None else ""]
    while folders:
        folder = folders.pop()
        if stored.model_id is None:
            entries = client.list_artifacts(stored.run_id, folder)
        else:
            entries = client.list_logged_model_artifacts(stored.model_id, folder or None)
        for entry in entries:
            if entry.is_dir:
                folders.append(entry.path)
            else:
                there.add(entry.path.removeprefix(f"{MODEL_FOLDER}/") if stored.model_id is None else entry.path)
    return there


def link_measures(client: "MlflowClient", stored: StoredModel, measures: Mapping[str, float]) -> None:
    """Give the model the measures that its run has, with the training data that they are of.

    MLflow logs a model's metric as one of the run, too, so each has the time that the run logged it at: the same point
    twice is one.
    """
    if stored.model_id is None:
        return
    from mlflow.entities import Metric

    run = client.get_run(stored.run_id)
    data = next(iter(run.inputs.dataset_inputs), None)
    known = next((name for name in measures if name in run.data.metrics), None)
    # The measures of a finished model are logged together.
    logged = [] if known is None else client.get_metric_history(stored.run_id, known)
    at = logged[-1].timestamp if logged else int(time.time() * 1000)
    metrics = [
        Metric(
            name,
            float(value),
            at,
            0,
            model_id=stored.model_id,
            dataset_name=None if data is None else data.dataset.name,
            dataset_digest=None if data is None else data.dataset.digest,
            run_id=stored.run_id,
        )
        for name, value in measures.items()
    ]
    send_metrics(client, stored.run_id, metrics)


def name_version(client: "MlflowClient", stored: StoredModel, *, name: str, version: str) -> None:
    """Tell the model its version in the registry, where MLflow's pages look for it."""
    if stored.model_id is None:
        return
    given = client.get_logged_model(stored.model_id).tags.get(VERSIONS)
    named = {"name": name, "version": version}
    versions = [one for one in json.loads(given or "[]") if str(one.get("version")) != version or one["name"] != name]
    client.set_logged_model_tags(stored.model_id, {VERSIONS: json.dumps([*versions, named])})


_alone = threading.Lock()


@contextmanager
def where_models_are_found(client: "MlflowClient") -> Iterator[None]:
    """Within the block, MLflow looks `models:/m-...` up where `client` logs runs.

    A server as registry does so by itself. The store of a database asks the address that is set for the whole process;
    it is put back as it was, and threads wait for each other.
    """
    if is_server(registry_of(client)):
        yield
        return
    from mlflow.tracking._tracking_service.utils import _use_tracking_uri

    with _alone:
        before = os.environ.get(VARIABLE)
        try:
            with _use_tracking_uri(client.tracking_uri):
                yield
        finally:
            if before is None:
                os.environ.pop(VARIABLE, None)
            else:
                os.environ[VARIABLE] = before
