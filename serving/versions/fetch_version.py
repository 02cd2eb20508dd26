"""Versions brought to this machine, each once for all workers of a server."""

import json
import logging
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cellmark.schemas import errors
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, SetupError

from ..models.model_source import open_model
from .version_record import ServedVersion, findings_from
from .version_state import VersionState

logger = logging.getLogger("cellmark.serving")

PROGRAM = "cellmark.serving.versions.fetch_program"
SECONDS = 900
"""How long a version may be on its way."""
KINDS = ("ModelError", "BundleError", "RegistryError", "OutputError", "SetupError", "ParameterError", "RequestError")
Fetch = Callable[[str], ServedVersion]


def is_uri(model: str) -> bool:
    """Whether MLflow has to be asked for it; a folder is opened where it lies."""
    return model.startswith(("models:/", "runs:/"))


class Fetcher:
    """Fetches and verifies models, by a program of its own where MLflow is needed. `stop` ends a running one."""

    def __init__(self, *program: str, seconds: float = SECONDS) -> None:
        self._program = program or ("-m", PROGRAM)
        self._seconds = seconds
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False

    def __call__(self, model: str) -> ServedVersion:
        """The verified bundle of a URI or a folder. Raises as `open_model`, and `SetupError` (`SERVICE_FAILED`)."""
        if not is_uri(model):
            source = open_model(model)
            return ServedVersion(source.name, None, str(source.bundle.folder.resolve()), source.bundle.digest)
        answer = self._ask_program(model)
        if "findings" not in answer:
            return ServedVersion(answer["name"], answer["version"], answer["folder"], answer["digest"])
        kind: type[CellmarkError] = getattr(errors, answer["kind"]) if answer["kind"] in KINDS else SetupError
        raise kind(*findings_from(answer["findings"]))

    def _ask_program(self, model: str) -> dict[str, Any]:
        with self._lock:
            if self._stopped:
                raise _failed(model, "a service that is being stopped")
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-P", *self._program, model],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
            )
            self._running.add(process)
        try:
            output, _ = process.communicate(timeout=self._seconds)
            answer: dict[str, Any] = json.loads(output.splitlines()[-1])
            return answer
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise _failed(model, f"nothing after {self._seconds:g} s") from None
        except (ValueError, IndexError):
            raise _failed(model, f"a program that ended with status {process.returncode}") from None
        finally:
            with self._lock:
                self._running.discard(process)

    def stop(self) -> None:
        """End what runs; nothing is fetched any more."""
        with self._lock:
            self._stopped = True
            for process in self._running:
                process.kill()


def _failed(model: str, found: str) -> SetupError:
    return SetupError.of(
        "SERVICE_FAILED",
        where=model,
        expected="a model that can be fetched",
        found=found,
        remedy=f"Run `cellmark models show {model}` on this machine to see more; then POST /admin/reload.",
    )


def numbered(name: str, version: str, fetch: Fetch, state: VersionState) -> ServedVersion:
    """A version by its number, fetched once by all workers together. Raises as `Fetcher`."""
    with state.only_one("fetch"):
        known = state.fetched(name, version)
        if known is not None and Path(known[0]).is_dir():
            return ServedVersion(name, version, *known)
        found = fetch(f"models:/{name}/{version}")
        state.put_fetched(name, version, found.folder, found.digest)
        return found


def verified(version: ServedVersion) -> Bundle:
    """The bundle of a version, every digest checked again: it may have changed since it was fetched."""
    bundle = Bundle.open(version.folder)
    if bundle.digest != version.digest:
        raise errors.BundleError.of(
            "BUNDLE_DIGEST_MISMATCH",
            where=version.name,
            expected=f"the bundle of digest {version.digest[:12]}",
            found=f"another one, of digest {bundle.digest[:12]}",
            remedy="POST /admin/reload takes it as it is now.",
        )
    return bundle
