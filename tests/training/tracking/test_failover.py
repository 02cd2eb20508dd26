"""A store that refuses, and a server that goes away: the training ends well, and its model is registered later."""

import json
import shutil
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding, RegistryError
from cellmark.training import train_and_register as whole
from cellmark.training.config import TrainingConfig
from cellmark.training.listener import Listener
from cellmark.training.tracking.register_kept import register_kept
from cellmark.training.tracking.run_record import RunRecord
from cellmark.training.tracking.track import open_tracker
from fixtures.mlflow_server import MlflowServer, mlflow_server
from fixtures.places import ARCHIVES

if TYPE_CHECKING:
    from mlflow.entities import Run

    from cellmark.training.run import TrainedModel

ARCHIVED = ARCHIVES / "v1"


class Quality:
    """A verdict of Great Expectations, which takes seconds."""

    failed: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {}


@pytest.fixture
def config(tiny_file: Path) -> TrainingConfig:
    return TrainingConfig(data=tiny_file, name="tiny")


@pytest.fixture
def server(mlflow_store: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[MlflowServer]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
    with mlflow_server(tmp_path / "mlflow" / "mlflow.db", tmp_path / "artifacts") as found:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", found.uri)
        yield found


@pytest.fixture
def replayed(trained: "TrainedModel", monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], None]]:
    """`train_and_register` gets a model that was trained before; what is in the list happens in mid-training."""
    meanwhile: list[Callable[[], None]] = []

    def train(config: TrainingConfig, folder: Path, listener: Listener) -> "TrainedModel":
        listener.data(trained.cells, trained.split)
        for happen in meanwhile:
            happen()
        for epoch in trained.fitted.epochs:
            listener.epoch(epoch)
        listener.step("Evaluating")
        shutil.copytree(trained.bundle.folder, folder)
        return trained

    monkeypatch.setattr(whole, "train", train)
    monkeypatch.setattr("cellmark.training.tracking.track.check_quality", lambda model: (Quality(), {}))
    monkeypatch.setattr("cellmark.training.tracking.track.figures_of", lambda model: {"figures/one.png": b"drawn"})
    return meanwhile


def only_run(uri: str) -> "Run":
    client = MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return run


def aliases(uri: str) -> dict[str, str]:
    client = MlflowClient(tracking_uri=uri)
    return {alias: str(number) for alias, number in client.get_registered_model("tiny").aliases.items()}


def command_in(error: BaseException | str) -> list[str]:
    """The arguments of the command that an error names."""
    return str(error).partition("cellmark ")[2].split(". [")[0].split()


def test_a_folder_that_takes_no_files_is_one_message(
    mlflow_store: str, cellmark: Callable[..., Any], tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "blocked").write_text("no folder")
    MlflowClient(tracking_uri=mlflow_store).create_experiment("blocked", artifact_location=str(tmp_path / "blocked"))
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "blocked")
    ran = cellmark("train", tiny_file)
    assert (ran.status, "[REGISTRY_REFUSED]" in ran.err, "Traceback" in ran.err) == (1, True, False)
    assert only_run(mlflow_store).info.status == "FAILED"


def test_an_object_store_that_forbids_is_one_of_our_errors(
    mlflow_store: str, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forbids(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_error(403)

        def log_message(self, *_: object) -> None:
            pass

    monkeypatch.setenv("no_proxy", "*")
    with ThreadingHTTPServer(("127.0.0.1", 0), Forbids) as store:
        Thread(target=store.serve_forever, args=(0.01,)).start()
        location = f"http://127.0.0.1:{store.server_port}/bucket"
        MlflowClient(tracking_uri=mlflow_store).create_experiment("forbidden", artifact_location=location)
        with pytest.raises(RegistryError, match="403") as caught, open_tracker(config, experiment="forbidden"):
            pass
        store.shutdown()
    assert caught.value.code == "REGISTRY_REFUSED"
    assert "MLFLOW_EXPERIMENT_NAME" in str(caught.value)


def test_a_model_whose_registration_fails_is_kept_and_registered_later(
    mlflow_store: str, replayed: list[Callable[[], None]], config: TrainingConfig, cellmark: Callable[..., Any],
    trained: "TrainedModel", tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*arguments: object, **named: object) -> None:
        raise MlflowException("the store says no")

    monkeypatch.chdir(tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(MlflowClient, "create_model_version", refuse)
        with pytest.raises(RegistryError, match="says no") as caught:
            whole.train_and_register(config)
    assert [finding.code for finding in caught.value.findings] == ["MODEL_NOT_REGISTERED", "REGISTRY_REFUSED"]
    assert caught.value.findings[0].where == str(tmp_path / "tiny-bundle")
    assert Bundle.open(tmp_path / "tiny-bundle").digest == trained.bundle.digest
    run = only_run(mlflow_store)
    assert run.info.status == "FAILED"

    ran = cellmark(*command_in(caught.value.findings[0].remedy))
    assert (ran.status, "Registered models:/tiny/1 (challenger, champion)" in ran.out) == (0, True), ran.err
    assert aliases(mlflow_store) == {"challenger": "1", "champion": "1"}
    later = only_run(mlflow_store)
    assert (later.info.run_id, later.info.status) == (run.info.run_id, "FINISHED")
    assert not {"error", "error_code"} & set(later.data.tags)
    assert MlflowClient().get_model_version("tiny", "1").run_id == run.info.run_id
    assert not (tmp_path / "tiny-bundle-run").exists()


def test_a_model_is_kept_where_the_user_wants_it_or_beside_an_earlier_one(
    mlflow_store: str, replayed: list[Callable[[], None]], config: TrainingConfig, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def refuse(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(MlflowClient, "create_model_version", refuse)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            whole.train_and_register(config)
    with pytest.raises(KeyboardInterrupt):
        whole.train_and_register(config, bundle_folder=tmp_path / "mine")
    kept = {path.name for path in tmp_path.iterdir() if (path / "manifest.json").exists()}
    assert kept == {"tiny-bundle", "tiny-bundle-2", "mine"}


def test_a_server_that_goes_away_costs_seconds_and_no_model(
    server: MlflowServer, replayed: list[Callable[[], None]], config: TrainingConfig, cellmark: Callable[..., Any],
    trained: "TrainedModel", tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    replayed.append(server.go_away)
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught:
        whole.train_and_register(config)
    seconds = time.monotonic() - began
    assert "[TRACKING_LOST]" in capsys.readouterr().err
    assert [finding.code for finding in caught.value.findings] == ["MODEL_NOT_REGISTERED", "REGISTRY_UNREACHABLE"]
    assert (tmp_path / "tiny-bundle-run" / "artifacts" / "evaluation" / "metrics.json").is_file()
    assert seconds < 30, "two minutes of MLflow's own retries for each call otherwise"

    server.come_back()
    assert only_run(server.uri).info.status == "RUNNING"
    ran = cellmark(*command_in(caught.value.findings[0].remedy))
    assert ran.status == 0, ran.err
    run = only_run(server.uri)
    assert run.info.status == "FINISHED"
    assert run.data.metrics["fit/train_loss"] == trained.fitted.epochs[-1].train_loss
    assert run.data.metrics["test/accuracy"] == trained.manifest.metrics["test"]["accuracy"]
    assert run.data.tags["model_version"] == "1"
    client = MlflowClient(tracking_uri=server.uri)
    history = client.get_metric_history(run.info.run_id, "fit/train_loss")
    assert [point.step for point in history] == [epoch.number for epoch in trained.fitted.epochs]
    names = {entry.path for entry in client.list_artifacts(run.info.run_id)}
    assert {"evaluation", "figures", "environment"} <= names


def test_a_server_that_comes_back_by_the_end_costs_nothing(
    server: MlflowServer, replayed: list[Callable[[], None]], config: TrainingConfig, trained: "TrainedModel",
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)

    def check_quality(model: object) -> tuple[Quality, dict[str, bytes]]:
        server.come_back()
        return Quality(), {}

    monkeypatch.setattr("cellmark.training.tracking.track.check_quality", check_quality)
    replayed.append(server.go_away)
    registered = whole.train_and_register(config)
    assert registered.version.uri == "models:/tiny/1"
    run = only_run(server.uri)
    assert run.info.status == "FINISHED"
    assert "step" not in run.data.tags
    assert run.data.metrics["fit/train_loss"] == trained.fitted.epochs[-1].train_loss
    assert list(tmp_path.glob("tiny-bundle*")) == []


def test_a_bundle_from_elsewhere_is_registered_under_a_run_of_its_own(
    mlflow_store: str, cellmark: Callable[..., Any], tmp_path: Path
) -> None:
    shutil.copytree(ARCHIVED, tmp_path / "carried")
    ran = cellmark("bundle", "register", tmp_path / "carried", "--name", "tiny")
    assert ran.status == 0, ran.err
    run = only_run(mlflow_store)
    # As at the end of a training: what to start, and the page of the experiment's runs.
    assert ran.out.splitlines() == [
        f"Registered models:/tiny/1 (challenger, champion), run {run.info.run_id}",
        f"MLflow: {mlflow_store}",
        f"  mlflow ui --backend-store-uri '{mlflow_store}' --port 5000",
        f"  http://127.0.0.1:5000/#/experiments/{run.info.experiment_id}/runs?workflowType=machine_learning",
    ]
    assert (run.info.status, run.data.tags["mlflow.source.name"]) == ("FINISHED", "cellmark bundle register")
    manifest = Bundle.open(ARCHIVED).manifest
    assert run.data.metrics["test/accuracy"] == manifest.metrics["test"]["accuracy"]
    version = MlflowClient().get_model_version("tiny", "1")
    assert version.tags["bundle_digest"] == manifest.bundle_digest
    assert aliases(mlflow_store) == {"challenger": "1", "champion": "1"}


@pytest.mark.parametrize("name", ["a/b", "", 'a"b'])
def test_a_name_that_no_uri_can_hold_is_refused(name: str, mlflow_store: str, cellmark: Callable[..., Any]) -> None:
    ran = cellmark("bundle", "register", ARCHIVED, "--name", name)
    assert (ran.status, "[PARAMETER_INVALID]" in ran.err) == (1, True)
    assert MlflowClient().search_registered_models() == []


def test_one_call_that_mlflow_refuses_does_not_keep_a_recorded_model_out(mlflow_store: str, tmp_path: Path) -> None:
    client = MlflowClient()
    run = client.create_run(client.create_experiment("cellmark", artifact_location=str(tmp_path / "art")))
    shutil.copytree(ARCHIVED, tmp_path / "kept")
    record = RunRecord(tmp_path / "kept-run", run_id=run.info.run_id)
    record.set_tag(run.info.run_id, "no/such\nname:?", "x")
    notes: list[Finding] = []
    version = register_kept(tmp_path / "kept", name="tiny", on_note=notes.append).version
    assert version.uri == "models:/tiny/1"
    assert [(note.code, note.severity) for note in notes] == [("REGISTRY_REFUSED", "warning")]
    assert json.loads((tmp_path / "kept-run" / "run.json").read_text()) == {"run_id": run.info.run_id}
