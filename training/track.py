"""What a training run tells MLflow while it happens, and the version that it registers when it is done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cellmark.schemas.errors import Finding

from .config import TrainingConfig

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from .fit import Epoch
    from .labelled_cells import LabelledCells
    from .register import RegisteredVersion
    from .run import TrainedModel
    from .split import Split


class Tracker:
    """A `Listener` of one training run that logs to one MLflow run. Made by `open_tracker`.

    `run_id`, `experiment`: of MLflow; `tracking_uri`: with credentials, if it has any.
    """

    def __init__(self, client: "MlflowClient", run_id: str, *, experiment: str, config: TrainingConfig) -> None:
        raise NotImplementedError

    def step(self, name: str) -> None:
        """Keep the name of the step, so that a run that ended early tells where."""

    def note(self, finding: Finding) -> None:
        """Keep a note on the data."""

    def data(self, cells: "LabelledCells", split: "Split") -> None:
        """Log the dataset as an input of the run, and the split."""

    def epoch(self, epoch: "Epoch") -> None:
        """Log losses, accuracy and macro-F1 of an epoch."""

    def register(self, model: "TrainedModel") -> "RegisteredVersion":
        """Log measures, tables and figures of a finished model, then register it under `config.name`."""
        raise NotImplementedError


@contextmanager
def open_tracker(
    config: TrainingConfig,
    *,
    uri: str | None = None,
    experiment: str | None = None,
    on_step: Callable[[str], None] = lambda name: None,
) -> Iterator[Tracker]:
    """A run in MLflow that ends with the block: FINISHED, FAILED on an error, KILLED when interrupted or terminated.

    `uri`: where to track (see `schemas/tracking_uri.py` for the default). `experiment`: its name; by default
    `MLFLOW_EXPERIMENT_NAME`, else `cellmark`. Under `mlflow run` (`MLFLOW_RUN_ID` is set) that run is continued.
    `on_step`: hears of the steps that take seconds (opening the database, logging, registering). Raises
    `RegistryError` when MLflow does not answer or refuses.
    """
    raise NotImplementedError
    yield
