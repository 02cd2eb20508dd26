"""`cellmark train` with a search: what is tracked and kept, and what its help promises."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest
from mlflow import MlflowClient
from typer import Typer
from typer.main import get_command

from cellmark.schemas.bundle import Bundle
from cellmark.training.commands.train import train
from cellmark.training.config import TrainingConfig
from cellmark.training.presets import PRESETS
from fixtures.manual import documented_keys

Cellmark = Callable[..., Any]
SMALL = ("--max-epochs", 3, "--hidden-units", 8, "--members", 2, "--permutations", 20)
SEARCH = ("--trials", 7, "--trial-epochs", 3, "--space", "units=8,16", "--space", "n_layers=1,2")


def runs_of(uri: str) -> tuple[list[Any], list[Any]]:
    """Runs of trainings, and those of their trials in the order of their names."""
    client = MlflowClient(tracking_uri=uri)
    runs = client.search_runs([experiment.experiment_id for experiment in client.search_experiments()])
    nested = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    return [run for run in runs if run not in nested], sorted(nested, key=lambda run: int(run.data.params["trial"]))


def test_a_search_is_tracked_trial_by_trial_and_goes_on_where_it_was_left(
    cellmark: Cellmark, mlflow_store: str, tiny_file: Path, tmp_path: Path
) -> None:
    options = (*SMALL, *SEARCH, "--study", tmp_path / "study.db", "--name", "tiny")
    ran = cellmark("train", tiny_file, *options, "--bundle", tmp_path / "bundle", "--figures", tmp_path / "figures")
    assert ran.status == 0, ran.err
    assert "trial 7 of 7, best validation accuracy" in ran.err
    (parent,), nested = runs_of(mlflow_store)
    trials = pd.read_csv(Path(parent.info.artifact_uri) / "tuning" / "trials.csv")
    assert (Path(parent.info.artifact_uri) / "tuning" / "history.png").read_bytes().startswith(b"\x89PNG")
    assert [run.info.run_name for run in nested] == [f"trial {number}" for number in range(7)]
    for run, (_, row) in zip(nested, trials.iterrows(), strict=True):
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["trial_state"] == row["state"]
        assert run.info.status == "FINISHED"
        assert run.data.metrics["value"] == pytest.approx(row["value"], rel=1e-5)
        assert float(run.data.params["learning_rate"]) == pytest.approx(row["learning_rate"], rel=1e-5)
        history = MlflowClient(tracking_uri=mlflow_store).get_metric_history(run.info.run_id, "fit/validation_loss")
        assert [point.step for point in history] == list(range(1, int(row["n_epochs"]) + 1))
        assert run.info.end_time >= run.info.start_time
    best = trials.loc[trials["value"][trials["state"] == "complete"].idxmax()]
    assert parent.data.metrics["tuning/best_value"] == pytest.approx(best["value"])
    assert parent.data.metrics["tuning/n_complete"] + parent.data.metrics["tuning/n_pruned"] == 7
    assert parent.data.params["tune.n_trials"] == "7"
    assert not any(str(tmp_path) in value for value in parent.data.params.values())

    network = Bundle.open(tmp_path / "bundle").manifest.network
    chosen = trials.iloc[int(parent.data.metrics["tuning/best_trial"])]
    assert network.parameters["learning_rate"] == pytest.approx(chosen["learning_rate"], rel=1e-5)
    assert [",".join(map(str, units)) for units in network.hidden_units] == [str(chosen["hidden_units"])] * 2
    pictures = {path.name for path in (tmp_path / "figures").iterdir()}
    assert {"learning.png", "confusion_test.png", "tuning_history.png"} <= pictures

    again = cellmark("train", tiny_file, *options, "--bundle", tmp_path / "second")
    assert again.status == 0, again.err
    assert "trial 7 of 7" not in again.err, "nothing is left to try"
    networks = [Bundle.open(tmp_path / name).manifest.files["annotator.onnx"].sha256 for name in ("bundle", "second")]
    assert networks[0] == networks[1]
    parents, nested = runs_of(mlflow_store)
    assert (len(parents), len(nested)) == (2, 7)


def test_when_time_is_up_at_once_a_model_is_made_all_the_same(
    cellmark: Cellmark, mlflow_store: str, tiny_file: Path, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    """And a model of the genes that other cells have."""
    query = tmp_path / "some genes.h5ad"
    new_cells[:, new_cells.var_names != "GENE3"].copy().write_h5ad(query)
    options = (*SEARCH, "--time-budget", 0.000001, "--bundle", tmp_path / "bundle", "--genes-of", query, "--json")
    ran = cellmark("train", tiny_file, *SMALL, *options)
    assert ran.status == 0, ran.err
    document = json.loads(ran.out)
    manifest = Bundle.open(tmp_path / "bundle").manifest
    assert (document["uri"], document["aliases"]) == ("models:/cellmark/1", ["challenger", "champion"])
    assert document["bundle_digest"] == manifest.bundle_digest
    assert document["metrics"]["test"]["accuracy"] == manifest.metrics["test"]["accuracy"]
    assert set(document) == documented_keys("train")
    assert "GENE3" not in Bundle.open(tmp_path / "bundle").panel.symbols
    assert manifest.training_data.genes_of == "some genes.h5ad"
    assert "119 of 120 genes" in ran.err
    assert shlex.split(document["next"][0])[:3] == ["cellmark", "annotate", str(query)]
    assert "TUNING_UNFINISHED" in ran.err
    assert Bundle.open(tmp_path / "bundle").manifest.network.hidden_units == [[8]] * 2
    (parent,), nested = runs_of(mlflow_store)
    assert "TUNING_UNFINISHED" in (Path(parent.info.artifact_uri) / "data" / "notes.json").read_text()
    assert nested == []
    assert parent.data.params["genes_of"] == "some genes.h5ad"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--preset", "fast"), "PARAMETER_INVALID"),
        (("--space", "units=3"), "PARAMETER_INVALID"),
        (("--trials", -1), "PARAMETER_INVALID"),
        (("--study-name", "x"), "PARAMETER_INVALID"),
        (("--ranking", "best"), "PARAMETER_INVALID"),
        (("--members", 0), "PARAMETER_INVALID"),
        (("--gate-penalty", -1), "PARAMETER_INVALID"),
        (("--include-genes", "none.txt"), "FILE_NOT_FOUND"),
        (("--figures", "."), "OUTPUT_EXISTS"),
        (("--trials", 2, "--study", "nowhere/study.db"), "STUDY_UNREACHABLE"),
    ],
)
def test_wrong_options_are_refused_with_a_code(
    cellmark: Cellmark, mlflow_store: str, tiny_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    options: tuple[object, ...], code: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    ran = cellmark("train", tiny_file, *options)
    assert ran.status != 0
    assert code in ran.err
    assert "Traceback" not in ran.err


def test_the_values_in_brackets_are_those_of_the_presets() -> None:
    default, published = (
        TrainingConfig(Path("x"), **{**chosen.settings(), "tune": replace(chosen.tune, n_trials=1)}).parameters()
        for chosen in PRESETS.values()
    )
    for of_preset, chosen in zip((default, published), PRESETS.values(), strict=True):
        of_preset["tune.n_trials"] = chosen.tune.n_trials
    app = Typer()
    app.command()(train)
    names = {
        "members": "n_members",
        "max_genes": "max_genes",
        "trials": "tune.n_trials",
        "trial_epochs": "tune.max_epochs",
    }
    names |= {
        "linear_member": "linear_member",
        "trial_patience": "tune.patience",
        "tune_metric": "tune.metric",
        "pruner": "tune.pruner",
    }
    names |= {"permutations": "markers.n_permutations", "baseline": "markers.baseline", "ranking": "markers.ranking"}
    shown = 0
    for option in get_command(app).params:
        found = re.search(r"\[([^\];]*)(?:; published: ([^\]]*))?\]$", getattr(option, "help", None) or "")
        if not found:
            continue
        name = names.get(str(option.name), f"fit.{option.name}")
        assert number(found[1]) == number(default[name]), option.name
        assert number(found[2] or found[1]) == number(published[name]), option.name
        shown += 1
    assert shown >= 15


def number(value: Any) -> object:
    """A value as the help shows it: 0 for none, one size for one layer, yes or no for a switch."""
    value = {"yes": True, "no": False}.get(value, value) if isinstance(value, str) else value
    value = value[0] if isinstance(value, tuple) and len(value) == 1 else value
    try:
        return float(value or 0)
    except ValueError:
        return value
