"""The model of a service while it is loaded, when it is ready, and when it cannot be."""

import logging
import threading
from dataclasses import replace

from cellmark.schemas.errors import CellmarkError, Finding, ParameterError, RequestError
from cellmark.schemas.telemetry import refuse_telemetry

from ..annotator import Annotator
from ..models.model_source import open_model
from ..observe.novelty_rank import novelty_buckets
from ..observe.served_versions import now_serving
from ..scoring.session import ModelSession
from .settings import ServiceSettings

logger = logging.getLogger("cellmark.serving")


class ServedModel:
    """Not ready until digests are verified and the golden cells gave the numbers that they should."""

    def __init__(self, annotator: Annotator | None = None) -> None:
        self._annotator = annotator
        self._error: CellmarkError | None = None

    @property
    def is_ready(self) -> bool:
        return self._annotator is not None

    def get(self) -> Annotator:
        """The model. Raises `RequestError` (`SERVICE_NOT_READY`), with what went wrong when loading did."""
        if self._annotator is not None:
            return self._annotator
        found = "it is being loaded" if self._error is None else "it could not be loaded"
        remedy = "Ask again in a moment; /readyz says when." if self._error is None else "See the other findings."
        waiting = Finding(
            "SERVICE_NOT_READY",
            where="model",
            expected="a model that has passed its self-test",
            found=found,
            remedy=remedy,
        )
        raise RequestError(waiting, *(self._error.findings if self._error else ()))

    def start(self, settings: ServiceSettings) -> threading.Thread:
        """Load in a thread, so that /livez answers meanwhile."""
        thread = threading.Thread(target=self.load, args=(settings,), name="cellmark-load", daemon=True)
        thread.start()
        return thread

    def load(self, settings: ServiceSettings) -> None:
        """Load the model; what goes wrong is logged and reported by `get`."""
        try:
            annotator = load_annotator(settings)
            announce(annotator)
            self._annotator = annotator
        except CellmarkError as error:
            logger.error("The model cannot be served: %s", error)
            self._error = error
        except Exception:
            # Whatever it was, the process has to stay alive and say that it is not ready.
            logger.exception("The model cannot be served")
            self._error = RequestError.of(
                "INTERNAL_ERROR",
                where="model",
                expected="a model",
                found="an internal error of cellmark",
                remedy="See the service's log.",
            )


def announce(annotator: Annotator) -> None:
    """Let the metrics know the version that this worker serves from now on."""
    source, bundle = annotator.source, annotator.bundle
    novelty = novelty_buckets(bundle)
    now_serving(source.name, source.version, bundle.digest, cell_types=annotator.cell_types, novelty=novelty)


def load_annotator(settings: ServiceSettings) -> Annotator:
    """The model of the settings, under the name that they give it. Raises as `Annotator.load`, and `ParameterError`."""
    if settings.model is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="CELLMARK_MODEL",
            expected="a bundle folder or an MLflow URI",
            found="nothing",
            remedy="Start the service with `cellmark serve --model MODEL`, or set CELLMARK_MODEL.",
        )
    refuse_telemetry()
    source = open_model(settings.model)
    named = replace(source, name=settings.model_name or source.name, version=settings.model_version or source.version)
    return Annotator(named, ModelSession(named.bundle, device=settings.device, threads=settings.threads))
