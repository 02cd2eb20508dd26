"""What a training run tells MLflow while it happens, and the version that it registers when it is done."""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellmark.schemas.errors import Finding, RegistryError
from cellmark.schemas.manifest.bundle_files import MODEL_CARD, REPORT
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import pages_of, public_uri, used_registry

from ..config import TrainingConfig
from ..evaluation.evaluate import per_type_frame
from ..figures.evaluation_files import evaluation_tables, trust_tables
from ..listener import Listener
from ..steps.describe import code_facts, environment_facts, split_frame
from .dataset_input import check_quality, dataset_input, file_input
from .measures import (
    donors_of_test,
    found_settings,
    given_settings,
    held_out,
    held_out_words,
    manifest_metrics,
    run_name,
)
from .open_run import STEP, ending, open_client, quiet_logs, refusals, send_metrics, start_run
from .register import RegisteredVersion, register_bundle
from .run_files import figures_of, installed_packages, tuning_files, write_content
from .run_record import RunLog, RunRecord
from .track_trials import track_trial, tuning_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

    from cellmark.schemas.checks.split import Split

    from ..cells.labelled_cells import LabelledCells
    from ..network.fit import Epoch
    from ..run import TrainedModel
    from ..tuning.tune_settings import Trial

SECONDS_BETWEEN_EPOCHS = 3.0


class Tracker(Listener):
    """A `Listener` of one training run that logs to one MLflow run. Made by `open_tracker`.

    `run_id`, `experiment_id`: of MLflow. `tracking_uri`: without credentials, for people.
    """

    def __init__(
        self,
        client: "MlflowClient",
        run: "Run",
        config: TrainingConfig,
        on_step: Callable[[str], None],
        on_note: Callable[[Finding], None],
    ) -> None:
        self.log = RunLog(client, artifact_uri=run.info.artifact_uri, on_note=on_note)
        self.run_id: str = run.info.run_id
        self.experiment_id: str = run.info.experiment_id
        self.tracking_uri = public_uri(client.tracking_uri)
        self._client, self._run, self._config = client, run, config
        self._on_step = on_step
        self._logged: dict[str, str] = dict(run.data.params)
        self._notes: list[Finding] = []
        self._has_data = self._notes_are_new = False
        self._named_by_others = bool(os.environ.get("MLFLOW_RUN_ID"))
        self._epochs: list[tuple[int, Epoch]] = []
        self._epochs_sent = time.monotonic()

    @property
    def pages(self) -> tuple[str | None, str]:
        """The command that opens MLflow in a browser, None for a server, and the page of this experiment's runs."""
        return pages_of(self._client.tracking_uri, self.experiment_id)

    def step(self, name: str) -> None:
        """Keep the name of the step, so that a run that ended early tells where; see `ending` for one that did not."""
        self.send_epochs()
        self._tag({STEP: name})
        if self._notes_are_new:
            self._log_notes()

    def note(self, finding: Finding) -> None:
        """Keep a note on the data; it is logged with them."""
        self._notes.append(finding)
        self._notes_are_new = self._has_data

    def data(self, cells: "LabelledCells", split: "Split") -> None:
        """Log the dataset as an input of the run, what the settings came to on it, the split and the notes."""
        digest = cells.digest()
        self._log_params(found_settings(self._config, cells, split))
        share, donors = self._config.test_share, donors_of_test(cells, split)
        self._name(None, held_out_words(None if cells.donors is None else donors, test_share=share))
        self.log.log_inputs(self.run_id, [dataset_input(self._config, cells, digest=digest)])
        self._tag({tags.TRAINING_DATA_DIGEST: digest})
        self._has_data = True
        self._log_files({"data/split.parquet": split_frame(cells, split)})
        self._log_notes()

    def trial(self, trial: "Trial") -> None:
        """Log a try of the search as a run of its own, below this one."""
        track_trial(self.log, trial, experiment_id=self.experiment_id, parent_run_id=self.run_id)

    def epoch(self, epoch: "Epoch") -> None:
        """Log the measures of an epoch, as `fit/...`.

        Epochs can be faster than a database takes them, so they are sent together, every few seconds.
        """
        self._epochs.append((int(time.time() * 1000), epoch))
        if time.monotonic() - self._epochs_sent > SECONDS_BETWEEN_EPOCHS:
            self.send_epochs()

    def register(self, model: "TrainedModel") -> RegisteredVersion:
        """Log measures, tables and figures of a finished model, then register it under its name.

        Raises `RegistryError` when MLflow does not take something; nothing is registered then.
        """
        self.log_model_facts(model)
        self._begin("Registering the model")
        self._send_record()
        with quiet_logs(), refusals(self._client.tracking_uri):
            version = register_bundle(model.bundle, name=model.manifest.name, run_id=self.run_id, client=self._client)
        self._tag({"registered_model": version.name, "model_version": version.version})
        self._name(version.version, held_out(model.manifest))
        return version

    def _send_record(self) -> None:
        """Log what was kept while MLflow did not answer. Raises `RegistryError` when it still does not."""
        if self.log.lost is None or self.log.record is None:
            return
        self.log.record.send(self._client, self._run)
        self.log.lost = None

    def log_model_facts(self, model: "TrainedModel") -> None:
        """Log measures, tables and figures of a finished model without registering it."""
        self._begin("Checking the training data's quality")
        quality, pages = check_quality(model)
        self._begin("Logging to MLflow")
        manifest = model.manifest
        self._tag({tags.BUNDLE_DIGEST: manifest.bundle_digest, tags.MANIFEST_DIGEST: manifest.manifest_digest})
        self._log_metrics(
            {
                **manifest_metrics(manifest),
                **tuning_metrics(model.tuned),
                "fit/best_epoch": model.fitted.best_epoch,
                "parity/max_probability_difference": model.parity.max_probability_difference,
                "parity/max_convergence_delta": model.parity.max_convergence_delta,
                "parity/n_label_ties": model.parity.n_label_ties,
                "quality/n_failed": len(quality.failed),
            }
        )
        independent = file_input(self._config.test_data, context="independent test")
        if independent is not None:
            self.log.log_inputs(self.run_id, [independent])
        self._log_files(
            {
                "evaluation/metrics.json": manifest.metrics,
                "evaluation/per_type.csv": per_type_frame(manifest.metrics),
                "evaluation/test_calls.parquet": model.test_calls,
                "evaluation/label_doubts.csv": model.label_doubts,
                **evaluation_tables(manifest.evaluation),
                **trust_tables(manifest),
                "data/quality.json": quality.to_dict(),
                **pages,
                **{name: model.bundle.path(name).read_bytes() for name in (REPORT, MODEL_CARD)},
                **figures_of(model),
                **tuning_files(model.tuned),
            }
        )

    def log_start(self) -> None:
        """Log the settings that were chosen, and the environment."""
        self._log_params(given_settings(self._config))
        self._log_files(
            {
                "environment/facts.json": environment_facts(),
                "environment/requirements.txt": "".join(f"{line}\n" for line in installed_packages()),
            }
        )

    def send_epochs(self) -> None:
        """Log the epochs that wait to be sent."""
        from mlflow.entities import Metric

        metrics = [
            Metric(f"fit/{name}", float(value), at, epoch.number)
            for at, epoch in self._epochs
            for name, value in epoch.measures().items()
        ]
        self._epochs, self._epochs_sent = [], time.monotonic()
        send_metrics(self.log, self.run_id, metrics)

    def _log_params(self, values: Mapping[str, str]) -> None:
        """MLflow refuses another value for a name that it has: `mlflow run` logged the words of its command line."""
        from mlflow.entities import Param

        params = [
            Param(key if key not in self._logged else f"cellmark.{key}", value)
            for key, value in values.items()
            if self._logged.get(key) != value
        ]
        self.log.log_batch(self.run_id, params=params)

    def _name(self, version: str | None, held_out: str) -> None:
        """Name the run by what it held out, unless `mlflow run` named it."""
        if not self._named_by_others:
            self._tag({"mlflow.runName": run_name(self._config.name, version=version, held_out=held_out)})

    def _begin(self, name: str) -> None:
        self._on_step(name)
        self.step(name)

    def _tag(self, values: Mapping[str, str]) -> None:
        for key, value in values.items():
            self.log.set_tag(self.run_id, key, value)

    def _log_notes(self) -> None:
        self._notes_are_new = False
        self._log_files({"data/notes.json": [note.to_dict() for note in self._notes]})

    def _log_metrics(self, values: Mapping[str, float], *, step: int = 0) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        metrics = [Metric(name, float(value), now, step) for name, value in values.items()]
        send_metrics(self.log, self.run_id, metrics)

    def _log_files(self, contents: Mapping[str, Any]) -> None:
        """Log files, by their place among the run's artifacts: frames, bytes, text, and plain values as JSON."""
        with tempfile.TemporaryDirectory(prefix="cellmark-") as scratch:
            for name, content in contents.items():
                path = Path(scratch) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                write_content(path, content)
            self.log.log_artifacts(self.run_id, scratch)


@contextmanager
def open_tracker(
    config: TrainingConfig,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    on_step: Callable[[str], None] = lambda name: None,
    on_note: Callable[[Finding], None] = lambda note: None,
    record: Path | None = None,
) -> Iterator[Tracker]:
    """A run in MLflow that ends with the block: FINISHED, FAILED on an error, KILLED when interrupted or terminated.

    `uri`: where to track (see `schemas/tracking/tracking_uri.py` for the default). `experiment`: its name; by default
    `MLFLOW_EXPERIMENT_NAME`, else `cellmark`. Under `mlflow run` (`MLFLOW_RUN_ID` is set) that run is continued.
    `on_step`: hears of the tracker's own steps that take seconds. `record`: a new folder for what MLflow does not take
    once the run has begun; `on_note` is called when that happens, and the block goes on. Raises `RegistryError` when
    MLflow does not answer or refuses, unless `record` is given and the run has begun; `train` itself may raise anything
    else within the block, which passes through.
    """
    uri = used_registry(uri)
    on_step("Opening MLflow")
    client = open_client(uri)
    code = code_facts()
    facts = {tags.CELLMARK_VERSION: str(code["version"])}
    if code["commit"]:
        facts["mlflow.source.git.commit"] = code["commit"]
    run = start_run(client, experiment=experiment, run_name=config.name, tags=facts)
    with ending(client, run.info.run_id):
        tracker = Tracker(client, run, config, on_step, on_note)
        tracker.log_start()
        if record is not None:
            tracker.log.fail_over_to(RunRecord(record, run_id=tracker.run_id))
        try:
            yield tracker
        except BaseException:
            # The last epochs say most about a run that ended early; should MLflow refuse, the first error is reported.
            with suppress(RegistryError):
                tracker.send_epochs()
            raise
        tracker.send_epochs()
