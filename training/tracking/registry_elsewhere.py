"""A registry that is another store than the one that runs are logged to: it knows neither run nor model.

MLflow would refuse a version of `models:/m-...` there. So the registry's store gets a run of its own, which says where
it was trained, and the version's model is one of that run.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import find_experiment, is_server, public_uri, registry_of

from .open_run import DEFAULT_EXPERIMENT, STEP, ending, refusals, send_metrics

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

ORIGIN = ("mlflow.user", "mlflow.source.name", "mlflow.source.type", "mlflow.source.git.commit")
"""MLflow's own tags of a run that hold for its copy too."""


def registry_elsewhere(client: "MlflowClient", run_id: str) -> "MlflowClient | None":
    """A client of the registry's own store, where that does not know the run; None where it does.

    A database as registry takes any source, so it is never elsewhere; nor is a registry that keeps no runs.
    """
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    uri = registry_of(client)
    if uri == client.tracking_uri or not is_server(uri):
        return None
    registry = MlflowClient(tracking_uri=uri, registry_uri=uri)
    with refusals(uri):
        try:
            registry.get_run(run_id)
        except MlflowException as error:
            return registry if error.error_code == "RESOURCE_DOES_NOT_EXIST" else None
    return None


@contextmanager
def run_beside(client: "MlflowClient", run_id: str, registry: "MlflowClient") -> Iterator[str]:
    """The id of a run in the registry's store with settings, measures and data of the run `run_id`, which both name.

    It ends with the block, as `ending` has it. What that store refuses is raised with its address.
    """
    from mlflow.entities import Metric, Param

    with refusals(registry.tracking_uri):
        run = client.get_run(run_id)
        experiment = client.get_experiment(run.info.experiment_id).name
        copy = registry.create_run(
            find_experiment(registry, experiment, default=DEFAULT_EXPERIMENT),
            run_name=run.info.run_name,
            tags=_kept(run) | {tags.TRAINED_AT: public_uri(client.tracking_uri), tags.TRAINED_RUN: run_id},
        )
        its_id: str = copy.info.run_id
        with ending(registry, its_id):
            registry.log_batch(its_id, params=[Param(key, value) for key, value in run.data.params.items()])
            now = int(time.time() * 1000)
            send_metrics(registry, its_id, [Metric(name, value, now, 0) for name, value in run.data.metrics.items()])
            registry.log_inputs(its_id, list(run.inputs.dataset_inputs))
            yield its_id
    client.set_tag(run_id, tags.REGISTERED_AT, public_uri(registry.tracking_uri))


def _kept(run: "Run") -> dict[str, str]:
    """Tags that hold for a copy of the run: MLflow's own are of where it is."""
    return {
        key: value
        for key, value in run.data.tags.items()
        if key in ORIGIN or (not key.startswith("mlflow.") and key not in (STEP, "error", "error_code"))
    }
