"""Drift in a pipeline: exit status, and runs in MLflow that a team can watch."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp
from mlflow import MlflowClient

from cellmark.schemas.bundle import Bundle
from cellmark.serving.files.drift import fails


@pytest.fixture
def strange_file(new_cells: ad.AnnData, tmp_path: Path) -> Path:
    """Cells whose genes were shuffled: far from any."""
    strange = new_cells.copy()
    counts = strange.X.toarray()
    strange.X = sp.csr_matrix(counts[:, np.random.default_rng(5).permutation(counts.shape[1])])
    strange.write_h5ad(tmp_path / "strange.h5ad")
    return tmp_path / "strange.h5ad"


@pytest.mark.parametrize(
    ("severity", "fail_on", "expected"),
    [("ok", "moved", False), ("moved", "moved", True), ("far", "moved", True), ("moved", "far", False),
     ("far", "far", True), (None, "far", True), ("far", None, False), (None, None, False)],
)  # fmt: skip
def test_a_pipeline_stops_from_the_verdict_on_that_it_names(severity: Any, fail_on: str | None, expected: bool) -> None:
    assert fails(severity, fail_on) is expected


def test_the_exit_status_tells_drift_from_refused_input(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, tiny_file: Path, strange_file: Path, tmp_path: Path
) -> None:
    page = tmp_path / "drift.html"
    assert cellmark("drift", tiny_file, "-m", tiny_bundle.folder, "--fail-on", "moved").status == 0
    assert cellmark("drift", strange_file, "-m", tiny_bundle.folder).status == 0
    assert cellmark("drift", strange_file, "-m", tiny_bundle.folder, "--fail-on", "far", "-o", page).status == 3
    assert page.exists()
    ran = cellmark("drift", tiny_file, "-m", tiny_bundle.folder, "--fail-on", "worse")
    assert (ran.status, "[PARAMETER_INVALID]" in ran.err) == (1, True)
    ran = cellmark("drift", tiny_file, "-m", tiny_bundle.folder, "--experiment", "watch")
    assert (ran.status, "--log-to-mlflow" in ran.err) == (1, True)


def test_a_run_holds_measures_and_report_and_names_the_version(
    cellmark: Callable[..., Any], registry: str, tiny_bundle: Bundle, strange_file: Path
) -> None:
    ran = cellmark("drift", strange_file, "-m", "models:/tiny/1", "--json", "--log-to-mlflow", "--fail-on", "far")
    assert ran.status == 3, ran.err
    report = json.loads(ran.out)
    client = MlflowClient(tracking_uri=registry)
    experiment = client.get_experiment_by_name("cellmark-drift")
    assert experiment is not None
    (run,) = client.search_runs([experiment.experiment_id], "tags.model_version = '1' and tags.drift = 'far'")
    assert run.info.run_id in ran.err
    assert run.info.status == "FINISHED"
    tags, metrics = run.data.tags, run.data.metrics
    assert (tags["registered_model"], tags["bundle_digest"]) == ("tiny", tiny_bundle.digest)
    assert tags["mlflow.note.content"] == report["verdict"]
    assert tags["input"] == "strange.h5ad"
    assert (metrics["drift/severity"], metrics["drift/n_cells"]) == (2, 120)
    for measure in report["measures"]:
        for key in ("effect", "observed", "ks"):
            assert metrics.get(f"drift/{measure['name']}/{key}") == measure[key]
    assert "drift/library_size/effect" in metrics
    assert all(name.startswith("drift/") for name in metrics), "none may be taken for one of a training"
    names = {item.path for item in client.list_artifacts(run.info.run_id)}
    assert names == {"drift.html", "drift.json"}
    kept = Path(client.download_artifacts(run.info.run_id, "drift.json")).read_text(encoding="utf-8")
    assert json.loads(kept) == report


def test_the_experiment_can_be_named(
    cellmark: Callable[..., Any], registry: str, new_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "from the environment")
    assert cellmark("drift", new_file, "-m", "models:/tiny/1", "--log-to-mlflow").status == 0
    given = ("--log-to-mlflow", "--experiment", "watch")
    assert cellmark("drift", new_file, "-m", "models:/tiny/1", *given).status == 0
    client = MlflowClient(tracking_uri=registry)
    names = {one.name for one in client.search_experiments()}
    assert {"from the environment", "watch"} <= names
    assert "cellmark-drift" not in names


def test_a_store_that_is_not_there_is_refused_before_the_work(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/nothing.db")
    out = tmp_path / "drift.json"
    ran = cellmark("drift", new_file, "-m", tiny_bundle.folder, "-o", out, "--log-to-mlflow")
    assert (ran.status, "[REGISTRY_UNREACHABLE]" in ran.err) == (1, True)
    assert not out.exists()


def test_a_run_whose_report_could_not_be_kept_has_failed(
    cellmark: Callable[..., Any], registry: str, new_file: Path, tmp_path: Path
) -> None:
    """The place of the experiment's files is a file."""
    (tmp_path / "blocked").write_text("no folder")
    client = MlflowClient(tracking_uri=registry)
    experiment = client.create_experiment("blocked", artifact_location=str(tmp_path / "blocked"))
    ran = cellmark("drift", new_file, "-m", "models:/tiny/1", "--log-to-mlflow", "--experiment", "blocked")
    assert (ran.status, "[REGISTRY_REFUSED]" in ran.err) == (1, True)
    (run,) = client.search_runs([experiment])
    assert run.info.status == "FAILED"
