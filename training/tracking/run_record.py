"""What a run would have logged, kept in a folder until MLflow takes it."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from cellmark.schemas.errors import Finding, RegistryError
from cellmark.schemas.tracking.tracking_uri import public_uri

from .open_run import refusals, store_refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import DatasetInput, Metric, Param, Run


HEADER, CALLS, FILES = "run.json", "calls.jsonl", "artifacts"


class RunRecord:
    """The methods of an `MlflowClient` that write to a run, in a folder: calls by their order, files as they are.

    `folder`: made when it is missing. `run_id`: of the run in MLflow that the record belongs to.
    """

    def __init__(self, folder: Path, *, run_id: str) -> None:
        self.folder, self.run_id = folder, run_id
        self._n_runs = 0
        folder.mkdir(parents=True, exist_ok=True)
        (folder / HEADER).write_text(json.dumps({"run_id": run_id}) + "\n", encoding="utf-8")

    @classmethod
    def beside(cls, bundle: Path) -> "RunRecord | None":
        """The record that was kept with a bundle; None where there is none."""
        folder = record_folder(bundle)
        try:
            return cls(folder, run_id=str(json.loads((folder / HEADER).read_bytes())["run_id"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def set_tag(self, run_id: str, key: str, value: str) -> None:
        self._keep("set_tag", run_id, key=key, value=value)

    def log_batch(self, run_id: str, metrics: "Sequence[Metric]" = (), params: "Sequence[Param]" = ()) -> None:
        values = [[one.key, one.value, one.timestamp, one.step] for one in metrics]
        self._keep("log_batch", run_id, metrics=values, params=[[one.key, one.value] for one in params])

    def log_inputs(self, run_id: str, datasets: "Sequence[DatasetInput]") -> None:
        values = [{**dict(one.dataset), "tags": [[tag.key, tag.value] for tag in one.tags]} for one in datasets]
        self._keep("log_inputs", run_id, datasets=values)

    def log_artifacts(self, run_id: str, local_dir: str) -> None:
        shutil.copytree(local_dir, self.folder / FILES, dirs_exist_ok=True)

    def create_run(self, experiment_id: str, **given: Any) -> SimpleNamespace:
        """A run below the one recorded; `given` as for `MlflowClient.create_run`."""
        self._n_runs += 1
        run_id = f"recorded {self._n_runs}"
        self._keep("create_run", run_id, **given)
        return SimpleNamespace(info=SimpleNamespace(run_id=run_id))

    def set_terminated(self, run_id: str, status: str, end_time: int | None = None) -> None:
        self._keep("set_terminated", run_id, status=status, end_time=end_time)

    def send(self, client: "MlflowClient", run: "Run") -> None:
        """Log everything to `run`, and what belonged to runs of another store not at all.

        Raises `RegistryError` when MLflow does not take something.
        """
        known = {self.run_id: run.info.run_id}
        calls = self.folder / CALLS
        with refusals(client.tracking_uri):
            for line in calls.read_text(encoding="utf-8").splitlines() if calls.exists() else ():
                _send(client, json.loads(line), run, known)
            if (self.folder / FILES).is_dir():
                with store_refusals(run.info.artifact_uri):
                    client.log_artifacts(run.info.run_id, str(self.folder / FILES))
        calls.unlink(missing_ok=True)
        shutil.rmtree(self.folder / FILES, ignore_errors=True)

    @property
    def waits(self) -> bool:
        """Whether there is something that was not sent."""
        return (self.folder / CALLS).exists() or (self.folder / FILES).exists()

    def remove(self) -> None:
        """Once everything was sent."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _keep(self, method: str, run_id: str, **given: Any) -> None:
        with (self.folder / CALLS).open("a", encoding="utf-8") as file:
            file.write(json.dumps({"call": method, "run_id": run_id, **given}) + "\n")


def record_folder(bundle: Path) -> Path:
    """Where the record of a bundle's run is kept."""
    bundle = bundle.absolute()
    return bundle.with_name(f"{bundle.name}-run")


def _send(client: "MlflowClient", call: dict[str, Any], run: "Run", known: dict[str, str]) -> None:
    from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param

    method, recorded = call.pop("call"), call.pop("run_id")
    if method == "create_run":
        call["tags"]["mlflow.parentRunId"] = run.info.run_id
        known[recorded] = client.create_run(run.info.experiment_id, **call).info.run_id
        return
    if recorded not in known:
        return
    if method == "log_batch":
        call = {"metrics": [Metric(*one) for one in call["metrics"]], "params": [Param(*one) for one in call["params"]]}
    elif method == "log_inputs":
        call["datasets"] = [
            DatasetInput(tags=[InputTag(*tag) for tag in one.pop("tags")], dataset=Dataset(**one))
            for one in call["datasets"]
        ]
    getattr(client, method)(known[recorded], **call)


WRITING = ("create_run", "log_artifacts", "log_batch", "log_inputs", "set_tag", "set_terminated")


class RunLog:
    """The methods of an `MlflowClient` that write to a run; they raise `RegistryError` until `fail_over_to` was called.

    `lost`: why MLflow takes nothing more; None while it does.
    """

    def __init__(self, client: "MlflowClient", *, artifact_uri: str, on_note: Callable[[Finding], None]) -> None:
        self.lost: RegistryError | None = None
        self.record: RunRecord | None = None
        self._client, self._artifact_uri, self._on_note = client, artifact_uri, on_note

    def fail_over_to(self, record: RunRecord) -> None:
        """From now on what MLflow does not take goes to `record`, and all that follows."""
        self.record = record

    def __getattr__(self, name: str) -> Any:
        if name not in WRITING:
            raise AttributeError(name)
        return partial(self._write, name)

    def _write(self, method: str, *arguments: Any, **named: Any) -> Any:
        if self.lost is None:
            try:
                files = store_refusals(self._artifact_uri) if method == "log_artifacts" else nullcontext()
                with refusals(self._client.tracking_uri), files:
                    return getattr(self._client, method)(*arguments, **named)
            except RegistryError as error:
                if self.record is None:
                    raise
                self.lost = error
                self._on_note(_lost(self._client.tracking_uri, error))
        return getattr(self.record, method)(*arguments, **named)


def _lost(uri: str, error: RegistryError) -> Finding:
    return Finding(
        code="TRACKING_LOST",
        where=public_uri(uri),
        expected="MLflow to take what is logged",
        found=error.findings[0].found,
        remedy="Training goes on. The rest is kept on this machine and sent when MLflow answers again at the end.",
        severity="warning",
    )
