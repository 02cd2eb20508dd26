"""The models of a service, from its settings, and the lease that a request holds while it is answered."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import anyio.to_thread

from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.telemetry import refuse_telemetry

from ..annotator import Annotator
from ..models.model_source import ModelSource
from ..versions.fetch_version import Fetcher, is_uri
from ..versions.last_good import last_good, remember_good
from ..versions.lead import renamed
from ..versions.loading import Loading, wishes_of
from ..versions.served_models import ServedModels
from ..versions.settings import FollowSettings, Wish
from .settings import ServiceSettings

LOOK_SECONDS = 0.01


class ServedModel(ServedModels):
    """`annotator`: the only model, as in tests; else nothing is served before `start`."""

    def __init__(self, annotator: Annotator | None = None) -> None:
        super().__init__(annotator)

    def start(self, settings: ServiceSettings, following: FollowSettings | None = None) -> None:
        """Load in a thread, so that /livez answers meanwhile; what goes wrong is logged and reported by `get`."""
        refuse_telemetry()
        self.serve(settings.model, following or FollowSettings.from_environment(), loading_of(settings))

    def load(self, settings: ServiceSettings, following: FollowSettings | None = None) -> None:
        """As `start`, and wait until the models are loaded or it is known why not."""
        self.start(settings, following)
        self.wait(float("inf"))

    def wait(self, seconds: float, unless: Callable[[], bool] = lambda: False) -> None:
        """Wait until the models are loaded, it is known why not, the seconds are over, or `unless` says so."""
        until = time.monotonic() + seconds
        while not (self.is_ready or self.why_not_loaded() or unless()) and time.monotonic() < until:
            time.sleep(LOOK_SECONDS)


def loading_of(settings: ServiceSettings) -> Loading:
    """How the settings want models to be loaded."""
    return Loading(settings.device, settings.threads, settings.model_name, settings.model_version)


@asynccontextmanager
async def leased(served: ServedModels, name: str | None = None, version: str | None = None) -> AsyncIterator[Annotator]:
    """The model that a request's path names, by default the first, until its answer is computed. Raises as
    `ServedModels.lease`.
    """
    if not served.holds(name, version):
        await anyio.to_thread.run_sync(_bring, served, name, version)
    with served.lease(name, version) as annotator:
        yield annotator


def _bring(served: ServedModels, name: str | None, version: str | None) -> None:
    """Load a version in a thread, so that the event loop does not wait for it."""
    with served.lease(name, version):
        pass


def find_models(settings: ServiceSettings, following: FollowSettings) -> tuple[tuple[Wish, ModelSource], ...]:
    """What to serve, fetched, verified and tested; where the registry does not answer, what was good last time.

    Raises as `Annotator.load`, and `ParameterError`.
    """
    refuse_telemetry()
    loading = loading_of(settings)
    wishes = wishes_of(settings.model, replace(following, resolved=None))
    first = wishes[0].key
    fetch = renamed(Fetcher(), {first: settings.model_name}, {first: settings.model_version})
    found = []
    for wish in wishes:
        cached = False
        try:
            version = fetch(wish.key)
        except CellmarkError as error:
            kept = last_good(wish.key) if is_uri(wish.key) and error.code.startswith("REGISTRY_") else None
            if kept is None:
                raise
            version, cached = kept, True
        source = loading.load(version).source
        if is_uri(wish.key) and not cached:
            remember_good(wish.key, version)
        found.append((Wish(wish.key, version, cached), source))
    return tuple(found)
