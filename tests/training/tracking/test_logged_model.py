"""The model as MLflow 3 shows it: a LoggedModel of the experiment, which its version, run and measures name."""

import json
import os
from pathlib import Path
from typing import Any

import mlflow
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput, Metric
from mlflow.exceptions import MlflowException
from mlflow.models import Model
from mlflow.protos.databricks_pb2 import ENDPOINT_NOT_FOUND

from cellmark.schemas.bundle import Bundle
from cellmark.serving.models.model_source import fetch_bundle
from cellmark.training.tracking.logged_model import where_models_are_found
from cellmark.training.tracking.register import register_bundle


@pytest.fixture
def client(mlflow_store: str) -> MlflowClient:
    return MlflowClient(tracking_uri=mlflow_store)


@pytest.fixture
def run_id(client: MlflowClient, tmp_path: Path) -> str:
    run = client.create_run(client.create_experiment("cellmark", artifact_location=str(tmp_path / "art")))
    client.log_param(run.info.run_id, "hold_out", "human4")
    return str(run.info.run_id)


def only_model(client: MlflowClient) -> Any:
    experiments = [experiment.experiment_id for experiment in client.search_experiments()]
    (model,) = client.search_logged_models(experiments)
    return model


def test_version_run_and_model_name_each_other(client: MlflowClient, run_id: str, tiny_bundle: Bundle) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    model = only_model(client)
    assert (model.name, model.status, model.source_run_id) == ("tiny", "READY", run_id)
    assert client.get_model_version("tiny", "1").source == f"models:/{model.model_id}"
    assert json.loads(model.tags["mlflow.modelVersions"]) == [{"name": "tiny", "version": "1"}]
    assert [output.model_id for output in client.get_run(run_id).outputs.model_outputs] == [model.model_id]
    assert model.params == {"hold_out": "human4"}
    assert model.tags["bundle_digest"] == tiny_bundle.digest
    assert "B cell, NK cell, T cell" in client.get_run(run_id).data.tags["mlflow.note.content"]


def test_its_measures_are_the_manifests_and_no_second_point_of_the_runs(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    accuracy = tiny_bundle.manifest.metrics["test"]["accuracy"]
    client.log_batch(run_id, metrics=[Metric("test/accuracy", accuracy, 1_700_000_000_000, 0)])
    data = Dataset(name="tiny.h5ad", digest="abc", source_type="local", source="{}")
    client.log_inputs(run_id, [DatasetInput(data, [])])
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    found = {metric.key: metric for metric in only_model(client).metrics}
    assert found["test/accuracy"].value == accuracy
    assert (found["test/accuracy"].dataset_name, found["test/accuracy"].dataset_digest) == ("tiny.h5ad", "abc")
    assert {"cv", "test", "depth", "novelty", "calibration"} <= {name.partition("/")[0] for name in found}
    assert len(client.get_metric_history(run_id, "test/accuracy")) == 1


@pytest.mark.parametrize("uri", ["models:/tiny/1", "models:/tiny@champion"])
def test_mlflow_and_cellmark_find_its_files(uri: str, client: MlflowClient, run_id: str, tiny_bundle: Bundle) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert Bundle.open(fetch_bundle(uri).folder).digest == tiny_bundle.digest
    assert Model.load(uri).model_id == only_model(client).model_id


@pytest.mark.parametrize("path", ["model", "tiny", "tiny/bundle"])
def test_a_runs_model_goes_by_the_name_model_as_well(
    path: str, client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert Bundle.open(fetch_bundle(f"runs:/{run_id}/{path}").folder).digest == tiny_bundle.digest


def test_a_server_before_mlflow_3_has_the_files_among_the_runs_artifacts(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*arguments: object, **named: object) -> None:
        raise MlflowException("no such endpoint", error_code=ENDPOINT_NOT_FOUND)

    monkeypatch.setattr(MlflowClient, "create_logged_model", missing)
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    source = client.get_model_version("tiny", "1").source
    assert source == f"{client.get_run(run_id).info.artifact_uri}/model"
    for uri in ("models:/tiny/1", f"runs:/{run_id}/model"):
        assert Bundle.open(fetch_bundle(uri).folder).digest == tiny_bundle.digest


def test_a_registration_that_fails_leaves_no_model_in_the_list(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("the store says no")

    monkeypatch.setattr(MlflowClient, "create_model_version", refuse)
    with pytest.raises(MlflowException, match="says no"):
        register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert client.search_logged_models([client.get_run(run_id).info.experiment_id]) == []


@pytest.mark.parametrize("variable", [None, "sqlite:////elsewhere/mlflow.db"])
def test_the_address_of_the_process_is_put_back(
    variable: str | None, no_mlflow_settings: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if variable is not None:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", variable)
    before = mlflow.get_tracking_uri()
    uri = f"sqlite:///{tmp_path}/mlflow.db"
    with where_models_are_found(MlflowClient(tracking_uri=uri)):
        assert mlflow.get_tracking_uri() == uri
    assert (mlflow.get_tracking_uri(), os.environ.get("MLFLOW_TRACKING_URI")) == (before, variable)


def test_a_registered_model_says_what_it_is_and_keeps_what_people_wrote(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    model = client.get_registered_model("tiny")
    assert "cellmark annotate CELLS.h5ad --model models:/tiny@champion" in model.description
    assert (model.tags["registered_by"], model.tags["task"]) == ("cellmark", "cell type annotation")
    client.update_registered_model("tiny", "Ours.")
    client.set_registered_model_tag("tiny", "task", "pancreas")
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    model = client.get_registered_model("tiny")
    assert (model.description, model.tags["task"]) == ("Ours.", "pancreas")


def test_a_name_that_was_there_without_a_word_gets_a_description(
    client: MlflowClient, run_id: str, tiny_bundle: Bundle
) -> None:
    client.create_registered_model("tiny")
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    assert client.get_registered_model("tiny").description
