"""The one door to MLflow: a client, its refusals as ours, and files of its artifact stores.

The only module of serving that imports mlflow, and only within functions; `mlflow-skinny` is enough.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from cellmark.schemas.errors import RegistryError, SetupError
from cellmark.schemas.tracking.tracking_uri import (
    REGISTRY_VARIABLE,
    check_reachable,
    is_server,
    public_uri,
    quiet_mlflow,
    registry_of,
    used_registry,
)

if TYPE_CHECKING:
    from mlflow import MlflowClient

Answer = TypeVar("Answer")
LONGEST_REFUSAL = 500
CLIENTS = {"s3": "boto3", "gs": "google-cloud-storage", "wasbs": "azure-storage-blob azure-identity"}
"""Packages that MLflow needs for the artifact stores in common use; it installs none of them itself."""


def open_registry(uri: str | None = None) -> "MlflowClient":
    """A client of runs and registry at `uri`, by default as `tracking_uri.py` and `MLFLOW_REGISTRY_URI` say.

    Raises `RegistryError` (`REGISTRY_UNREACHABLE`) within seconds when none answers there; a SQLite file that does not
    exist is not made.
    """
    tracking = used_registry(uri)
    registry = (os.environ.get(REGISTRY_VARIABLE) if uri is None else None) or tracking
    for needed in {tracking, registry}:
        check_reachable(needed, create=False)
    quiet_mlflow()
    from mlflow import MlflowClient

    with refusals(registry):
        return MlflowClient(tracking_uri=tracking, registry_uri=registry)


def where_versions_lie(client: "MlflowClient") -> str:
    """The address at which files of a registered version are asked for: of the registry, where a server keeps it."""
    registry = registry_of(client)
    return registry if is_server(registry) else str(client.tracking_uri)


def ask(client: "MlflowClient", question: Callable[[], Answer]) -> Answer | None:
    """The answer to a question to `client`; None for something that MLflow does not know.

    Raises `RegistryError` (`REGISTRY_REFUSED`) on any other refusal.
    """
    from mlflow.exceptions import MlflowException

    with refusals(client.tracking_uri):
        try:
            return question()
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None


@contextmanager
def refusals(uri: str) -> Iterator[None]:
    """What MLflow, its database and its artifact stores raise, as `RegistryError` (`REGISTRY_REFUSED`)."""
    from mlflow.exceptions import MlflowException
    from requests.exceptions import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, RequestException) as error:
        found = first_line(error).replace(uri, public_uri(uri))
        raise RegistryError.of(
            "REGISTRY_REFUSED",
            where=public_uri(uri),
            expected="MLflow to answer",
            found=found[:LONGEST_REFUSAL],
            remedy="Check MLFLOW_TRACKING_URI, your credentials and your rights there.",
        ) from error


def download(uri: str, location: str, folder: Path) -> Path:
    """Fetch a file or a folder of an artifact store; returns where it lies within `folder`. `uri`: of the store that
    named the location, which hands on the files of `mlflow-artifacts:`.

    Raises `RegistryError` (`REGISTRY_REFUSED`) when the store refuses or has no such thing, `SetupError`
    (`EXTRA_MISSING`) when its client is not installed.
    """
    from mlflow.artifacts import download_artifacts

    with _store(location, "an artifact that can be fetched"):
        return Path(download_artifacts(artifact_uri=location, dst_path=str(folder), tracking_uri=uri))


def upload(client: "MlflowClient", run_id: str, folder: Path) -> None:
    """Log all files of a folder as artifacts of a run. Raises as `download`."""
    with _store(client.get_run(run_id).info.artifact_uri, "an artifact store that takes files"):
        client.log_artifacts(run_id, str(folder))


@contextmanager
def _store(location: str, expected: str) -> Iterator[None]:
    """What an artifact store raises, as ours. `location`: of the artifacts."""
    try:
        yield
    except ImportError as error:
        scheme = location.partition(":")[0]
        package = CLIENTS.get(scheme, error.name or "the client of this artifact store")
        raise SetupError.of(
            "EXTRA_MISSING",
            where=public_uri(location),
            expected=f"a Python client for {scheme} artifacts",
            found=str(error),
            remedy=f"pip install {package}",
        ) from error
    except Exception as error:
        # Every artifact store raises types of its own SDK; all mean that this cannot be had from it.
        raise RegistryError.of(
            "REGISTRY_REFUSED",
            where=public_uri(location),
            expected=expected,
            found=first_line(error)[:LONGEST_REFUSAL],
            remedy="Check the artifact store and your rights there.",
        ) from error


def first_line(error: BaseException) -> str:
    """What an exception says, on one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
