"""One run's log: MLflow as long as it takes what is logged, then a folder on this machine."""

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any

from cellmark.schemas.errors import Finding, RegistryError
from cellmark.schemas.tracking.tracking_uri import public_uri

from .open_run import refusals, store_refusals
from .run_record import RunRecord

if TYPE_CHECKING:
    from mlflow import MlflowClient

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
