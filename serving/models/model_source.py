"""Where a model comes from: a bundle folder, or a version in MLflow's registry."""

import os
from dataclasses import dataclass
from pathlib import Path

from cellmark.schemas.bundle import Bundle


@dataclass(frozen=True)
class ModelSource:
    """A verified bundle and the name it goes by. `version`: of the registered model, None for a bare folder."""

    bundle: Bundle
    name: str
    version: str | None
    uri: str


def open_model(model: str | os.PathLike[str]) -> ModelSource:
    """The model behind `model`: a bundle folder, `models:/name@alias`, `models:/name/version`, or `runs:/id/path`.

    Raises `ModelError` when there is none, `BundleError` when it is damaged, `RegistryError` when MLflow does not
    answer or lacks the alias.
    """
    text = os.fspath(model)
    if text.startswith(("models:/", "runs:/")):
        from .fetch_bundle import fetch_bundle

        fetched = fetch_bundle(text)
        bundle = Bundle.open(fetched.folder)
        return ModelSource(bundle, fetched.name or bundle.manifest.name, fetched.version, text)
    bundle = Bundle.open(Path(text))
    return ModelSource(bundle, bundle.manifest.name, None, text)
