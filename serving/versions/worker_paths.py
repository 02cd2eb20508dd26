"""Places that the environment names by relative paths, made absolute for workers, which run in another folder."""

import os
from collections.abc import Mapping
from pathlib import Path

from cellmark.schemas.tracking.tracking_uri import VARIABLE as TRACKING
from cellmark.schemas.tracking.tracking_uri import sqlite_path, sqlite_uri, tracking_uri

from ..models.model_source import VARIABLE as CACHE
from .settings import STATE

REGISTRY = "MLFLOW_REGISTRY_URI"


def absolute_places(environment: Mapping[str, str]) -> dict[str, str]:
    """The same environment; registry, cache and state mean the same in every folder."""
    found = {**environment, TRACKING: _absolute_uri(tracking_uri(environ=environment))}
    if environment.get(REGISTRY):
        found[REGISTRY] = _absolute_uri(environment[REGISTRY])
    for name in (CACHE, STATE):
        if environment.get(name):
            found[name] = os.path.abspath(Path(environment[name]).expanduser())
    return found


def _absolute_uri(uri: str) -> str:
    path = sqlite_path(uri)
    return uri if path is None else sqlite_uri(path)
