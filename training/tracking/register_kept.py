"""A finished model outlives a registration that failed: its bundle is kept, and registered later.

The bundle stays on this machine, and the error names it.
"""

import shlex
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, Finding, ParameterError, RegistryError
from cellmark.schemas.manifest.bundle_files import MODEL_CARD, REPORT
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import pages_of, public_uri, used_registry

from ..config import NAME_ADVICE, model_name
from ..setting_bounds import problem
from .measures import held_out, manifest_metrics, run_name
from .open_run import ending, open_client, quiet_logs, refusals, send_metrics, start_run, store_refusals
from .register import RegisteredVersion, register_bundle
from .run_record import RunRecord, record_folder

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run


@contextmanager
def keeping(bundle: Path, record: Path, *, name: str, given: bool) -> Iterator[None]:
    """Keep a bundle, and beside it the record of its run, when the block does not end well.

    `given`: whether the bundle lies where the user wants it; it goes to `NAME-bundle` in the working folder otherwise,
    or to the folder of temporary files where that cannot be written. Raises `RegistryError` (`MODEL_NOT_REGISTERED`,
    then what went wrong) for an error of ours; others pass through, with a note where the bundle is.
    """
    try:
        yield
    except BaseException as error:
        kept = bundle if given else _move_bundle(bundle, name)
        if record.is_dir() and not record_folder(kept).exists():
            shutil.move(record, record_folder(kept))
        finding = Finding(
            code="MODEL_NOT_REGISTERED",
            where=str(kept),
            expected=f"a version of {name} in MLflow",
            found="a trained model that is not registered; its bundle is kept here",
            remedy=f"Register it with: cellmark bundle register {shlex.quote(str(kept))} --name {shlex.quote(name)}",
        )
        if isinstance(error, CellmarkError):
            raise RegistryError(finding, *error.findings) from error
        error.add_note(str(finding))
        raise


def _move_bundle(bundle: Path, name: str) -> Path:
    for number in count(1):
        target = Path.cwd() / (f"{name}-bundle" if number == 1 else f"{name}-bundle-{number}")
        if target.exists() or record_folder(target).exists():
            continue
        try:
            shutil.move(bundle, target)
        except OSError:
            if not bundle.is_dir():
                raise
            shutil.rmtree(target, ignore_errors=True)
            target = Path(tempfile.mkdtemp(prefix="cellmark-kept-")) / f"{name}-bundle"
            shutil.move(bundle, target)
        return target
    raise AssertionError("not reached")


@dataclass(frozen=True)
class RegisteredBundle:
    """What came of a bundle. `tracking_uri`: where its run is, without credentials; `pages`: as in `pages_of`."""

    version: RegisteredVersion
    tracking_uri: str
    pages: tuple[str | None, str]


def register_kept(
    folder: Path,
    *,
    name: str | None = None,
    uri: str | None = None,
    on_step: Callable[[str], None] = lambda name: None,
    on_note: Callable[[Finding], None] = lambda note: None,
) -> RegisteredBundle:
    """Register the bundle in `folder` as a version of `name`, by default the name that it was trained under.

    Where a record of its run lies beside the bundle (see `keeping`), it is sent and then removed, and `on_note`
    is called with what MLflow did not take of it; the run goes on if MLflow knows it. A new run has the measures and
    the report. Raises `BundleError` for a damaged bundle, `ParameterError` for a name that MLflow does not take, and
    `RegistryError`.
    """
    bundle = Bundle.open(folder)
    name = bundle.manifest.name if name is None else name
    try:
        model_name(name)
    except ValueError as error:
        raise ParameterError(problem("--name", NAME_ADVICE.expected, repr(name), NAME_ADVICE.remedy)) from error
    uri = used_registry(uri)
    on_step("Opening MLflow")
    client = open_client(uri)
    record = RunRecord.beside(folder)
    run = None if record is None else _find_run(client, record.run_id)
    new = run is None
    if run is None:
        facts = {tags.CELLMARK_VERSION: bundle.manifest.code.version, "mlflow.source.name": "cellmark bundle register"}
        run = start_run(client, experiment=None, run_name=name, tags=facts)
    run_id = run.info.run_id
    with ending(client, run_id):
        on_step("Logging to MLflow")
        if record is not None:
            _send(record, client, run, on_note)
        if new:
            _log_facts(client, run, bundle)
        on_step("Registering the model")
        with quiet_logs(), refusals(uri):
            version = register_bundle(bundle, name=name, run_id=run_id, client=client)
            for key, value in {
                "registered_model": version.name,
                "model_version": version.version,
                tags.BUNDLE_DIGEST: bundle.digest,
                tags.MANIFEST_DIGEST: bundle.manifest.manifest_digest,
                "mlflow.runName": run_name(name, version=version.version, held_out=held_out(bundle.manifest)),
            }.items():
                client.set_tag(run_id, key, value)
            for key in {"error", "error_code"} & set(run.data.tags):
                client.delete_tag(run_id, key)
    if record is not None and not record.waits:
        record.remove()
    return RegisteredBundle(version, public_uri(uri), pages_of(uri, run.info.experiment_id))


def _send(record: RunRecord, client: "MlflowClient", run: "Run", on_note: Callable[[Finding], None]) -> None:
    try:
        record.send(client, run)
    except RegistryError as error:
        if error.code != "REGISTRY_REFUSED":
            raise
        # What one call of many was refused for must not keep the model out of the registry.
        on_note(replace(error.findings[0], severity="warning"))


def _find_run(client: "MlflowClient", run_id: str) -> "Run | None":
    from mlflow.exceptions import MlflowException

    with refusals(client.tracking_uri):
        try:
            run = client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None
    return run if run.info.lifecycle_stage == "active" else None


def _log_facts(client: "MlflowClient", run: "Run", bundle: Bundle) -> None:
    """What the manifest says of the model's measures, and its report."""
    from mlflow.entities import Metric

    manifest, run_id, now = bundle.manifest, run.info.run_id, int(time.time() * 1000)
    metrics = [Metric(key, value, now, 0) for key, value in manifest_metrics(manifest).items()]
    with refusals(client.tracking_uri), store_refusals(run.info.artifact_uri):
        send_metrics(client, run_id, metrics)
        with tempfile.TemporaryDirectory(prefix="cellmark-") as scratch:
            for page in {REPORT, MODEL_CARD} & set(manifest.files):
                (Path(scratch) / page).write_bytes(bundle.path(page).read_bytes())
            client.log_artifacts(run_id, scratch)
