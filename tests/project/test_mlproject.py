"""`mlflow run` works in a checkout: it finds the file, hands parameters over, and a bad one ends in a clear error."""

import os
import subprocess
import sys
from pathlib import Path

import mlflow.projects
import pandas as pd
import pytest
import yaml
from mlflow import MlflowClient
from mlflow.entities import Run
from mlflow.exceptions import ExecutionException
from mlflow.projects import _project_spec
from typer.main import get_command

from fixtures.places import ROOT

CHECKOUT = ROOT


def run_project(*arguments: str, cwd: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        [sys.executable, "-m", "mlflow", "run", str(CHECKOUT), "--env-manager", "local", *arguments],
        cwd=cwd, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def run_of(client: MlflowClient, answer: "subprocess.CompletedProcess[str]") -> Run:
    """The run that MLflow names in its log."""
    run_id = answer.stderr.split("in run with ID '")[1].split("'")[0]
    return client.get_run(run_id)


def test_mlflow_finds_the_file_and_its_entry_points() -> None:
    project = _project_spec.load_project(str(CHECKOUT))
    assert project.name == "cellmark"
    assert set(project._entry_points) == {"main", "annotate", "promote"}


def test_every_option_of_the_commands_exists() -> None:
    from typer import Typer

    from cellmark.serving.commands.annotate import annotate
    from cellmark.serving.commands.models import models
    from cellmark.training.commands.train import train

    def options(command: object) -> set[str]:
        return {name for parameter in command.params for name in parameter.opts}  # type: ignore[attr-defined]

    def single(function: object) -> object:
        app = Typer()
        app.command()(function)  # type: ignore[type-var]
        return get_command(app)

    known = {
        "main": options(single(train)),
        "annotate": options(single(annotate)),
        "promote": options(get_command(models).commands["promote"]),  # type: ignore[attr-defined]
    }
    entries = yaml.safe_load((CHECKOUT / "mlproject").read_text())["entry_points"]
    for name, entry in entries.items():
        used = {word for word in entry["command"].split() if word.startswith("--")}
        assert used <= known[name], name


@pytest.mark.slow
def test_a_project_run_trains_annotates_and_promotes_and_a_bad_parameter_is_told(
    mlflow_store: str, tiny_file: Path, tmp_path: Path
) -> None:
    client = MlflowClient(tracking_uri=mlflow_store)
    experiment = ["--experiment-id", client.create_experiment("projects", artifact_location=str(tmp_path / "art"))]

    trained = run_project(
        *experiment, "-P", f"data={tiny_file.name}", "-P", "label=cell_type", "-P", "name=tiny", "-P", "max-epochs=4",
        cwd=tiny_file.parent,
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    run = run_of(client, trained)
    assert run.info.status == "FINISHED"
    assert run.data.params["max-epochs"] == run.data.params["fit.max_epochs"] == "4"
    assert 0 <= run.data.metrics["test/accuracy"] <= 1
    assert client.get_model_version("tiny", "1").run_id == run.info.run_id

    annotated = run_project(
        *experiment, "-e", "annotate", "-P", f"data={tiny_file}", "-P", "model=models:/tiny@champion",
        "-P", f"out={tmp_path / 'calls.csv'}", cwd=tmp_path,
    )  # fmt: skip
    assert annotated.returncode == 0, annotated.stderr
    assert len(pd.read_csv(tmp_path / "calls.csv")) == 120

    promoted = run_project(*experiment, "-e", "promote", "-P", "name=tiny", "-P", "version=1", cwd=tmp_path)
    assert promoted.returncode == 0, promoted.stderr
    assert "Version 1 of tiny is champion already" in promoted.stdout

    misspelt = run_project(
        *experiment, "-P", f"data={tiny_file}", "-P", "label=cell_type", "-P", "lable=x", cwd=tmp_path
    )
    assert misspelt.returncode != 0
    assert "error: cellmark train has no option --lable" in misspelt.stderr
    assert "Traceback" not in misspelt.stderr
    assert run_of(client, misspelt).info.status == "FAILED"


def test_a_wrong_value_is_told_by_the_entry_point_and_fails_the_run(
    mlflow_store: str, tiny_file: Path, tmp_path: Path
) -> None:
    answer = run_project("-P", f"data={tiny_file}", "-P", "label=typo", cwd=tmp_path)
    assert answer.returncode != 0
    assert "LABEL_COLUMN_UNKNOWN" in answer.stderr
    run = run_of(MlflowClient(tracking_uri=mlflow_store), answer)
    assert run.info.status == "FAILED"
    assert run.data.tags["error_code"] == "LABEL_COLUMN_UNKNOWN"


@pytest.mark.parametrize("missing", ["data", "label"])
def test_a_parameter_without_a_default_is_asked_for(missing: str, mlflow_store: str, tiny_file: Path) -> None:
    """In this process, as nothing of ours is started."""
    given = {"data": str(tiny_file), "label": "cell_type"}
    del given[missing]
    with pytest.raises(ExecutionException, match=f"'{missing}'"):
        mlflow.projects.run(str(CHECKOUT), parameters=given, env_manager="local")
