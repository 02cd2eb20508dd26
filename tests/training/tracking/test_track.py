import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from mlflow import MlflowClient

from cellmark.schemas.errors import Finding, LabelError, RegistryError
from cellmark.schemas.tracking.tracking_uri import sqlite_path, sqlite_uri
from cellmark.training.config import TrainingConfig
from cellmark.training.tracking.track import Tracker, open_tracker

if TYPE_CHECKING:
    from mlflow.entities import Run

    from cellmark.training.run import TrainedModel

NOTE = Finding(
    "FEATURES_DROPPED", where="data", expected="genes", found="peaks", remedy="Nothing to do.", severity="info"
)


@pytest.fixture
def config(tiny_file: Path) -> TrainingConfig:
    return TrainingConfig(data=tiny_file, name="tiny")


def replay(tracker: Tracker, trained: "TrainedModel") -> None:
    """Tell a tracker what it heard when the model was trained."""
    tracker.step("Reading cells")
    tracker.note(NOTE)
    tracker.data(trained.cells, trained.split)
    for epoch in trained.fitted.epochs:
        tracker.epoch(epoch)


def only_run(uri: str) -> "Run":
    client = MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    return run


def artifact(run: "Run", name: str) -> Path:
    return Path(run.info.artifact_uri) / name


@pytest.fixture(scope="module")
def finished(
    empty_mlflow_database: Path, tiny_file: Path, trained: "TrainedModel", tmp_path_factory: pytest.TempPathFactory
) -> str:
    """URI of a store in which a whole training was logged."""
    folder = tmp_path_factory.mktemp("finished")
    shutil.copyfile(empty_mlflow_database, folder / "mlflow.db")
    uri = sqlite_uri(folder / "mlflow.db")
    with open_tracker(TrainingConfig(data=tiny_file, name="tiny"), uri=uri) as tracker:
        replay(tracker, trained)
        tracker.register(trained)
    return uri


@pytest.fixture
def logged(finished: str) -> "Run":
    """The run of that training."""
    return only_run(finished)


def test_a_training_leaves_everything_that_tells_how_the_model_came_to_be(
    logged: "Run", finished: str, config: TrainingConfig, trained: "TrainedModel"
) -> None:
    assert logged.info.status == "FINISHED"
    given = {key: str(value) for key, value in config.parameters().items() if value not in (None, "")}
    found = {"library_size": "summed", "counts_from": trained.cells.counts_from, "split": "stratified"}
    assert logged.data.params == {**given, **found}
    assert "" not in logged.data.params.values()
    manifest = trained.manifest
    test = manifest.metrics["test"]
    assert logged.data.metrics["test/accuracy"] == test["accuracy"]
    assert logged.data.metrics["test/macro_f1"] == test["macro_f1"]
    assert logged.data.metrics["test/f1/NK cell"] == test["per_type"]["NK cell"]["f1"]
    assert logged.data.metrics["validation/accuracy"] == manifest.metrics["validation"]["accuracy"]
    assert logged.data.metrics["train/n_cells"] == manifest.split.train.n_cells
    tags = logged.data.tags
    assert tags["training_data_digest"] == manifest.training_data.digest
    assert tags["bundle_digest"] == manifest.bundle_digest
    assert (tags["registered_model"], tags["model_version"]) == ("tiny", "1")
    assert tags.get("mlflow.source.git.commit") == manifest.code.commit
    assert "step" not in tags
    assert logged.info.run_name == "tiny v1, 20% of cells out"
    experiment = MlflowClient(tracking_uri=finished).get_experiment(logged.info.experiment_id)
    assert experiment.tags["mlflow.experimentKind"] == "custom_model_development"


def test_every_epoch_is_a_point_of_the_curves(logged: "Run", trained: "TrainedModel", finished: str) -> None:
    history = MlflowClient(tracking_uri=finished).get_metric_history(logged.info.run_id, "fit/train_loss")
    assert [(point.step, point.value) for point in history] == [
        (epoch.number, epoch.train_loss) for epoch in trained.fitted.epochs
    ]


def test_the_dataset_is_an_input_with_its_digest(logged: "Run", trained: "TrainedModel", tiny_file: Path) -> None:
    (given,) = logged.inputs.dataset_inputs
    assert given.dataset.name == tiny_file.name
    assert given.dataset.digest == trained.cells.digest()[:36]
    assert json.loads(given.dataset.source) == {"uri": str(tiny_file)}
    assert json.loads(given.dataset.profile)["cells_per_type"] == {"B cell": 40, "NK cell": 40, "T cell": 40}
    assert [(tag.key, tag.value) for tag in given.tags] == [("mlflow.data.context", "training")]


def test_the_split_names_every_cell_once(logged: "Run", trained: "TrainedModel") -> None:
    split = pd.read_parquet(artifact(logged, "data/split.parquet"))
    assert sorted(split["cell_id"]) == sorted(trained.cells.cell_ids)
    parts = split["part"].value_counts()
    assert parts.to_dict() == {
        name: getattr(trained.manifest.split, name).n_cells for name in ("train", "validation", "test")
    }


def test_tables_figures_notes_and_environment_are_kept(logged: "Run", trained: "TrainedModel") -> None:
    pd.testing.assert_frame_equal(
        pd.read_parquet(artifact(logged, "evaluation/test_calls.parquet")), trained.test_calls, check_dtype=False
    )
    assert json.loads(artifact(logged, "evaluation/metrics.json").read_text()) == trained.manifest.metrics
    assert json.loads(artifact(logged, "data/notes.json").read_text()) == [NOTE.to_dict()]
    quality = json.loads(artifact(logged, "data/quality.json").read_text())
    assert quality["success"], "training cells meet what was learned from them"
    assert "tiny-cells" in artifact(logged, "data/data_docs/index.html").read_text()
    pages = list(artifact(logged, "data/data_docs").rglob("validations/**/*.html"))
    assert len(pages) == 2
    assert not any(cell_id in page.read_text() for page in pages for cell_id in trained.cells.cell_ids)
    for name in ("learning", "markers", "confusion_test", "confusion_validation"):
        assert artifact(logged, f"figures/{name}.png").read_bytes().startswith(b"\x89PNG")
    listed = artifact(logged, "environment/requirements.txt").read_text().splitlines()
    assert f"pandas=={pd.__version__}" in listed


def test_artifacts_lie_beside_the_database(logged: "Run", finished: str) -> None:
    database = sqlite_path(finished)
    assert database is not None
    assert Path(logged.info.artifact_uri).is_relative_to(database.parent / "mlartifacts")


def test_losses_are_there_before_the_training_ends(
    mlflow_store: str, config: TrainingConfig, trained: "TrainedModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.training.tracking.track.SECONDS_BETWEEN_EPOCHS", 0)
    with open_tracker(config) as tracker:
        tracker.data(trained.cells, trained.split)
        tracker.epoch(trained.fitted.epochs[0])
        run = MlflowClient(tracking_uri=mlflow_store).get_run(tracker.run_id)
        assert run.info.status == "RUNNING"
        assert run.data.metrics["fit/train_loss"] == trained.fitted.epochs[0].train_loss
        assert run.inputs.dataset_inputs


@pytest.mark.parametrize("error", [None, ZeroDivisionError])
def test_no_epoch_is_lost_however_the_run_ends(
    error: type[Exception] | None, mlflow_store: str, config: TrainingConfig, trained: "TrainedModel"
) -> None:
    with suppress(ZeroDivisionError), open_tracker(config) as tracker:
        for epoch in trained.fitted.epochs:
            tracker.epoch(epoch)
        if error is not None:
            raise error
    assert only_run(mlflow_store).data.metrics["fit/train_loss"] == trained.fitted.epochs[-1].train_loss


def test_an_independent_file_is_an_input_as_well(
    mlflow_store: str, config: TrainingConfig, trained: "TrainedModel", new_file: Path, tiny_file: Path
) -> None:
    with_test = TrainingConfig(data=tiny_file, name="tiny", test_data=new_file)
    with open_tracker(with_test) as tracker:
        tracker.log_model_facts(trained)
    (given,) = only_run(mlflow_store).inputs.dataset_inputs
    digest = subprocess.run(["sha256sum", str(new_file)], capture_output=True, text=True, check=True).stdout
    assert given.dataset.digest == digest[:36]


def test_a_failed_run_says_so_and_why(mlflow_store: str, config: TrainingConfig) -> None:
    finding = Finding(
        "LABEL_ONE_CLASS", where="label", expected="two types", found="one", remedy="Name another column."
    )
    with pytest.raises(LabelError), open_tracker(config) as tracker:  # noqa: PT012
        tracker.step("Reading cells")
        raise LabelError(finding)
    run = only_run(mlflow_store)
    assert run.info.status == "FAILED"
    assert run.info.end_time is not None
    assert run.data.tags["error_code"] == "LABEL_ONE_CLASS"
    assert "Name another column." in run.data.tags["error"]
    assert run.data.tags["step"] == "Reading cells"
    assert not MlflowClient(tracking_uri=mlflow_store).search_registered_models()


def test_a_fault_of_our_own_is_a_failed_run_too(mlflow_store: str, config: TrainingConfig) -> None:
    with pytest.raises(ZeroDivisionError), open_tracker(config):
        raise ZeroDivisionError
    assert only_run(mlflow_store).info.status == "FAILED"


def test_an_interrupted_run_is_killed(mlflow_store: str, config: TrainingConfig) -> None:
    with pytest.raises(KeyboardInterrupt), open_tracker(config):
        raise KeyboardInterrupt
    assert only_run(mlflow_store).info.status == "KILLED"


def test_a_terminated_process_leaves_a_killed_run(mlflow_store: str, tmp_path: Path) -> None:
    script = (
        "import time\nfrom pathlib import Path\n"
        "from cellmark.training.config import TrainingConfig\n"
        "from cellmark.training.tracking.track import open_tracker\n"
        "with open_tracker(TrainingConfig(data=Path('x.h5ad'), name='tiny')):\n"
        "    print('open', flush=True)\n    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=tmp_path) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 128 + signal.SIGTERM
    assert only_run(mlflow_store).info.status == "KILLED"


def test_the_first_error_is_told_when_mlflow_cannot_be(mlflow_store: str, config: TrainingConfig) -> None:
    database = sqlite_path(mlflow_store)
    assert database is not None
    with pytest.raises(ZeroDivisionError) as caught, open_tracker(config):  # noqa: PT012
        database.write_bytes(b"")
        raise ZeroDivisionError
    assert "could not be notified" in " ".join(caught.value.__notes__)


def test_under_mlflow_run_its_run_is_continued(
    mlflow_store: str, config: TrainingConfig, trained: "TrainedModel", monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(tracking_uri=mlflow_store)
    run = client.create_run("0", run_name="named by me")
    client.log_param(run.info.run_id, "data", "/given/on/the/command/line.h5ad")
    client.log_param(run.info.run_id, "label", "cell_type")
    monkeypatch.setenv("MLFLOW_RUN_ID", run.info.run_id)
    with open_tracker(config) as tracker:
        assert tracker.run_id == run.info.run_id
        tracker.data(trained.cells, trained.split)
    found = client.get_run(run.info.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["data"] == "/given/on/the/command/line.h5ad"
    assert found.data.params["cellmark.data"] == config.data.name
    assert "cellmark.label" not in found.data.params
    assert found.data.params["seed"] == "0"
    assert found.info.run_name == "named by me"


@pytest.mark.parametrize("ended", [True, False])
def test_a_run_that_has_ended_or_never_was_is_not_continued(
    ended: bool, mlflow_store: str, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = "0" * 32
    if ended:
        client = MlflowClient(tracking_uri=mlflow_store)
        run_id = client.create_run("0").info.run_id
        client.set_terminated(run_id)
    monkeypatch.setenv("MLFLOW_RUN_ID", run_id)
    with pytest.raises(RegistryError, match="MLFLOW_RUN_ID") as caught, open_tracker(config):
        pass
    assert caught.value.code == "RUN_UNKNOWN"


def test_the_experiment_is_the_one_that_the_environment_names(
    mlflow_store: str, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = MlflowClient(tracking_uri=mlflow_store)
    with open_tracker(config) as tracker:
        assert client.get_experiment(tracker.experiment_id).name == "cellmark"
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from the environment")
    with open_tracker(config) as tracker:
        assert client.get_experiment(tracker.experiment_id).name == "from the environment"
    with open_tracker(config, experiment="from the caller") as tracker:
        assert client.get_experiment(tracker.experiment_id).name == "from the caller"


def test_a_store_that_does_not_answer_is_told_at_once(
    no_mlflow_settings: None, config: TrainingConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    began = time.monotonic()
    with pytest.raises(RegistryError) as caught, open_tracker(config, uri="http://ann:secret@127.0.0.1:9"):
        pass
    assert time.monotonic() - began < 10
    assert caught.value.code == "REGISTRY_UNREACHABLE"
    assert "secret" not in str(caught.value)


def test_without_a_setting_everything_goes_to_the_working_folder(
    no_mlflow_settings: None,
    empty_mlflow_database: Path,
    config: TrainingConfig,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mlflow.db").write_bytes(empty_mlflow_database.read_bytes())
    with open_tracker(config) as tracker:
        command, page = tracker.pages
        assert command == f"mlflow ui --backend-store-uri 'sqlite:///{tmp_path}/mlflow.db' --port 5000"
        wanted = f"experiments/{tracker.experiment_id}/runs?workflowType=machine_learning"
        assert page == f"http://127.0.0.1:5000/#/{wanted}"
    assert {path.name for path in tmp_path.iterdir()} == {"mlflow.db", "mlartifacts"}


def test_nothing_global_is_left_behind(mlflow_store: str, config: TrainingConfig) -> None:
    import mlflow

    before = mlflow.get_tracking_uri(), signal.getsignal(signal.SIGTERM), os.getcwd(), mlflow.active_run()
    with open_tracker(config):
        pass
    assert before == (mlflow.get_tracking_uri(), signal.getsignal(signal.SIGTERM), os.getcwd(), mlflow.active_run())


def test_importing_the_tracker_neither_imports_mlflow_nor_makes_files(tmp_path: Path) -> None:
    script = "import sys, cellmark.training.tracking.track; assert 'mlflow' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    assert not list(tmp_path.iterdir())
