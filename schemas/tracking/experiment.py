"""The MLflow experiment that runs go to, and who runs them."""

import getpass
import os
from typing import TYPE_CHECKING

from .tracking_uri import artifact_root

if TYPE_CHECKING:
    from mlflow import MlflowClient


def find_experiment(client: "MlflowClient", name: str | None, *, default: str) -> str:
    """Id of the experiment: `name`, else `MLFLOW_EXPERIMENT_NAME`, else `MLFLOW_EXPERIMENT_ID`, else `default`.

    It is made when missing; of a SQLite store, its files then lie in `mlartifacts` beside the database.
    """
    name = name or os.environ.get("MLFLOW_EXPERIMENT_NAME")
    if name is None and os.environ.get("MLFLOW_EXPERIMENT_ID"):
        return os.environ["MLFLOW_EXPERIMENT_ID"]
    name = name or default
    found = client.get_experiment_by_name(name)
    if found is not None:
        return str(found.experiment_id)
    root = artifact_root(client.tracking_uri)
    return str(client.create_experiment(name, artifact_location=None if root is None else str(root)))


def current_user() -> str:
    """The user of this process; a container may have no name for it."""
    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        return "unknown"
