"""An MLflow client and a run that ends with its block; nothing global is set."""

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

from cellmark.schemas.errors import CellmarkError, Finding, RegistryError, SetupError
from cellmark.schemas.tracking.tracking_uri import (
    REGISTRY_VARIABLE,
    check_reachable,
    current_user,
    find_experiment,
    is_server,
    public_uri,
    quiet_mlflow,
    sqlite_path,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Run

    from .run_record import RunLog

DEFAULT_EXPERIMENT = "cellmark"
LONGEST_ERROR = 2000
METRICS_PER_CALL = 500
STEP = "step"
"""Tag of a run that goes on, or ended early: the step that it is in, or was."""


def open_client(uri: str) -> "MlflowClient":
    """A client of runs behind `uri` and of the registry there, or of that which `MLFLOW_REGISTRY_URI` names; a SQLite
    file that does not exist is made (which takes seconds).

    Raises `RegistryError` when nothing answers there, within seconds.
    """
    registry = os.environ.get(REGISTRY_VARIABLE) or uri
    for needed in dict.fromkeys((uri, registry)):
        check_reachable(needed, create=True)
        if (database := sqlite_path(needed)) is not None:
            database.parent.mkdir(parents=True, exist_ok=True)
    quiet_mlflow()
    from mlflow import MlflowClient

    with quiet_logs(), refusals(registry):
        client = MlflowClient(tracking_uri=uri, registry_uri=registry)
        # The registry's part of a new database is made at its first use.
        client.search_registered_models(max_results=1)
        return client


def start_run(client: "MlflowClient", *, experiment: str | None, run_name: str, tags: dict[str, str]) -> "Run":
    """The run of `MLFLOW_RUN_ID`, which `mlflow run` sets, or a new one.

    Raises `RegistryError` (`RUN_UNKNOWN`) when that run is not there or has ended.
    """
    uri = client.tracking_uri
    run_id = os.environ.get("MLFLOW_RUN_ID")
    with refusals(uri):
        if run_id:
            run = continue_run(client, run_id)
            for key, value in tags.items():
                client.set_tag(run_id, key, value)
            return run
        tags = {
            "mlflow.user": current_user(),
            "mlflow.source.name": "cellmark train",
            "mlflow.source.type": "LOCAL",
            **tags,
        }
        return client.create_run(
            find_experiment(client, experiment, default=DEFAULT_EXPERIMENT), tags=tags, run_name=run_name
        )


def continue_run(client: "MlflowClient", run_id: str) -> "Run":
    """A run that is going on. Raises `RegistryError` (`RUN_UNKNOWN`) otherwise."""
    from mlflow.exceptions import MlflowException

    expected = "a run that is going on, as `mlflow run` sets it"
    remedy = (
        f"Unset MLFLOW_RUN_ID to start a new run, or check MLFLOW_TRACKING_URI ({public_uri(client.tracking_uri)})."
    )
    try:
        run = client.get_run(run_id)
    except MlflowException as error:
        found = f"{run_id!r}, which MLflow does not know"
        raise RegistryError.of(
            "RUN_UNKNOWN", where="MLFLOW_RUN_ID", expected=expected, found=found, remedy=remedy
        ) from error
    if run.info.status not in ("RUNNING", "SCHEDULED") or run.info.lifecycle_stage != "active":
        found = f"{run_id!r}, which is {run.info.status.lower()} ({run.info.lifecycle_stage})"
        raise RegistryError.of("RUN_UNKNOWN", where="MLFLOW_RUN_ID", expected=expected, found=found, remedy=remedy)
    return run


@contextmanager
def ending(client: "MlflowClient", run_id: str) -> Iterator[None]:
    """Ends the run with the block: FINISHED, FAILED on an error, KILLED when interrupted or terminated.

    A run that has FINISHED is in no step any more. Raises nothing of its own when MLflow cannot be notified of an
    error.
    """
    try:
        with terminable():
            yield
    except BaseException as error:
        killed = isinstance(error, KeyboardInterrupt | SystemExit)
        try:
            if is_server(client.tracking_uri):
                check_reachable(client.tracking_uri, create=False)
            if isinstance(error, CellmarkError):
                client.set_tag(run_id, "error_code", error.code)
            if not killed:
                client.set_tag(run_id, "error", f"{type(error).__name__}: {error}"[:LONGEST_ERROR])
            client.set_terminated(run_id, "KILLED" if killed else "FAILED")
        except Exception as second:
            # Whatever the store says now, the first error is the one to tell.
            error.add_note(f"MLflow could not be notified that run {run_id} ended: {second}")
        raise
    with refusals(client.tracking_uri):
        if STEP in client.get_run(run_id).data.tags:
            client.delete_tag(run_id, STEP)
        client.set_terminated(run_id, "FINISHED")


@contextmanager
def terminable() -> Iterator[None]:
    """SIGTERM, as schedulers send it, ends the block by `SystemExit`; without it a run would seem to go on for ever."""
    if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGTERM) != signal.SIG_DFL:
        yield
        return

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """What MLflow and its database raise, as ours. A server that does not answer is found within seconds."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    if is_server(uri):
        check_reachable(uri, create=False)
    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException, OSError) as error:
        raise RegistryError(
            Finding(
                code="REGISTRY_REFUSED",
                where=public_uri(uri),
                expected="MLflow to take what is logged",
                found=_first_line(error).replace(uri, public_uri(uri)),
                remedy="Check MLFLOW_TRACKING_URI and your rights there.",
            )
        ) from error


@contextmanager
def store_refusals(location: str) -> Iterator[None]:
    """What an artifact store raises, as ours: each has types of its own. `location`: of the run's artifacts.

    MLflow's and its database's own exceptions pass through, for `refusals`.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (CellmarkError, MlflowException, SQLAlchemyError):
        raise
    except ImportError as error:
        scheme = location.partition(":")[0]
        raise SetupError(
            Finding(
                code="EXTRA_MISSING",
                where=public_uri(location),
                expected=f"a Python client for {scheme} artifacts",
                found=_first_line(error),
                remedy="Install it: MLflow brings no client of an object store.",
            )
        ) from error
    except Exception as error:
        raise RegistryError(
            Finding(
                code="REGISTRY_REFUSED",
                where=public_uri(location),
                expected="an artifact store that takes files",
                found=_first_line(error),
                remedy="Check that this place may be written, or name an experiment that keeps its files elsewhere "
                "(MLFLOW_EXPERIMENT_NAME).",
            )
        ) from error


def send_metrics(client: "MlflowClient | RunLog", run_id: str, metrics: "Sequence[Metric]") -> None:
    """Log metrics to a run, in as many calls as MLflow needs."""
    for start in range(0, len(metrics), METRICS_PER_CALL):
        client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:LONGEST_ERROR]


@contextmanager
def quiet_logs() -> Iterator[None]:
    """Migrations of a new database write dozens of lines; only warnings are let through within the block."""
    import logging

    loggers = [logging.getLogger(name) for name in ("mlflow", "alembic")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
