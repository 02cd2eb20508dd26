"""Runs are logged to one store of MLflow, versions are registered in another one, as `MLFLOW_REGISTRY_URI` names it."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import mlflow.pyfunc
import pytest
from mlflow import MlflowClient
from mlflow.entities import Dataset, DatasetInput

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RegistryError
from cellmark.schemas.tracking.tracking_uri import sqlite_uri
from cellmark.serving.models.model_source import open_model
from cellmark.training.commands.show_registered import where_to_look
from cellmark.training.tracking.open_run import open_client
from cellmark.training.tracking.register import register_bundle
from cellmark.training.tracking.register_kept import register_kept
from cellmark.training.tracking.registry_elsewhere import registry_elsewhere
from fixtures.mlflow_process import free_port, mlflow_process


@pytest.fixture(scope="module")
def registry_server(empty_mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_process(empty_mlflow_database, tmp_path_factory.mktemp("registry")) as uri:
        yield uri


@pytest.fixture(scope="module")
def tracking_server(empty_mlflow_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_process(empty_mlflow_database, tmp_path_factory.mktemp("tracking")) as uri:
        yield uri


@pytest.fixture(params=["server", "database"])
def tracking(request: pytest.FixtureRequest, mlflow_store: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Where runs are logged: a server, or a database."""
    uri = mlflow_store if request.param == "database" else str(request.getfixturevalue("tracking_server"))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    return uri


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CELLMARK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def a_run(client: MlflowClient, folder: Path) -> str:
    name = f"training {folder.name}"
    place = None if client.tracking_uri.startswith("http") else str(folder / "art")
    run = client.create_run(client.create_experiment(name, artifact_location=place), run_name="a run")
    run_id: str = run.info.run_id
    client.log_param(run_id, "hold_out", "d1")
    client.log_metric(run_id, "test/accuracy", 0.5)
    data = Dataset(name="cells", digest="0123", source_type="local", source="{}")
    client.log_inputs(run_id, [DatasetInput(data, [])])
    return run_id


def test_a_registry_that_does_not_know_the_run_gets_run_and_model_of_its_own(
    tracking: str,
    registry_server: str,
    cache: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry_server)
    client = open_client(tracking)
    run_id = a_run(client, tmp_path)
    name = f"tiny-{'server' if tracking.startswith('http') else 'database'}"
    version = register_bundle(tiny_bundle, name=name, run_id=run_id, client=client)
    assert (version.version, version.run_id, version.aliases) == ("1", run_id, ("challenger", "champion"))
    there = MlflowClient(tracking_uri=registry_server)
    found = there.get_model_version(name, "1")
    copy = there.get_run(found.run_id)
    assert copy.info.run_id != run_id
    assert copy.info.status == "FINISHED"
    assert copy.data.params == {"hold_out": "d1"}
    assert copy.data.metrics["test/accuracy"] == tiny_bundle.manifest.metrics["test"]["accuracy"]
    assert copy.data.tags["trained_run_id"] == run_id
    assert copy.data.tags["trained_at"] == tracking
    assert [one.dataset.name for one in copy.inputs.dataset_inputs] == ["cells"]
    assert there.get_experiment(copy.info.experiment_id).name == f"training {tmp_path.name}"
    # The run keeps its model among those of its experiment, as ever, and says where the version is.
    run = client.get_run(run_id)
    assert run.data.tags["registered_at"] == registry_server
    (own,) = run.outputs.model_outputs
    (registered,) = copy.outputs.model_outputs
    assert own.model_id != registered.model_id
    assert found.source == f"models:/{registered.model_id}"
    # With the same two addresses it is found, fetched and verified; each model by its id where it was logged.
    source = open_model(f"models:/{name}@champion")
    assert (source.name, source.version) == (name, "1")
    assert source.bundle.manifest == tiny_bundle.manifest
    assert open_model(f"models:/{own.model_id}").bundle.digest == tiny_bundle.digest
    # The registry's address alone is enough, for MLflow itself as well.
    monkeypatch.delenv("MLFLOW_REGISTRY_URI")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registry_server)
    shutil.rmtree(cache, ignore_errors=True)
    assert open_model(f"models:/{name}/1").bundle.digest == tiny_bundle.digest
    assert open_model(f"models:/{registered.model_id}").bundle.digest == tiny_bundle.digest
    # What another test told MLflow would go before the environment, and its setters would outlast this test.
    monkeypatch.setattr("mlflow.tracking._tracking_service.utils._tracking_uri", None)
    monkeypatch.setattr("mlflow.tracking._model_registry.utils._registry_uri", None)
    monkeypatch.setattr(sys, "path", sys.path[:])  # MLflow puts the model's code first
    assert mlflow.pyfunc.load_model(f"models:/{name}@champion").metadata.flavors


def test_a_kept_bundle_is_registered_there_too(
    tracking: str, registry_server: str, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry_server)
    made = register_kept(tiny_bundle.folder, name="kept")
    version = made.version
    assert where_to_look(version, made.tracking_uri, made.pages)[-1] == f"Registry: {registry_server}"
    assert made.tracking_uri == tracking
    there = MlflowClient(tracking_uri=registry_server)
    assert there.get_model_version("kept", version.version).tags["bundle_digest"] == tiny_bundle.digest
    run = MlflowClient(tracking_uri=tracking).get_run(version.run_id)
    assert run.data.tags["model_version"] == version.version
    assert run.data.tags["registered_at"] == registry_server


def test_nothing_stays_registered_when_a_step_fails_there(
    registry_server: str, mlflow_store: str, tiny_bundle: Bundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry_server)
    client = open_client(mlflow_store)
    run_id = a_run(client, tmp_path)

    def fail(self: MlflowClient, *_: object) -> None:
        from mlflow.exceptions import MlflowException

        raise MlflowException("the store says no")

    monkeypatch.setattr(MlflowClient, "set_registered_model_alias", fail)
    with pytest.raises(RegistryError, match="the store says no") as caught:
        register_bundle(tiny_bundle, name="never", run_id=run_id, client=client)
    assert caught.value.findings[0].where == registry_server
    there = MlflowClient(tracking_uri=registry_server)
    assert "never" not in [model.name for model in there.search_registered_models()]
    experiment = there.get_experiment_by_name(f"training {tmp_path.name}")
    assert experiment is not None
    (copy,) = there.search_runs([experiment.experiment_id])
    assert copy.info.status == "FAILED"
    assert "registered_at" not in client.get_run(run_id).data.tags


def test_a_database_as_registry_takes_the_model_where_it_lies(
    tracking: str,
    empty_mlflow_database: Path,
    cache: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    other = tmp_path / "other.db"
    shutil.copyfile(empty_mlflow_database, other)
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", sqlite_uri(other))
    client = open_client(tracking)
    monkeypatch.delenv("MLFLOW_TRACKING_URI")  # the address of the client alone says where the run is
    run_id = a_run(client, tmp_path / "runs")
    assert registry_elsewhere(client, run_id) is None
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert open_model("models:/tiny@champion").bundle.digest == tiny_bundle.digest
    assert MlflowClient(tracking_uri=sqlite_uri(other)).search_runs(["0"]) == []


def test_a_registry_that_does_not_answer_is_told_by_its_own_address(
    mlflow_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", away)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(RegistryError) as caught:
        open_client(mlflow_store)
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert caught.value.findings[0].where == away
