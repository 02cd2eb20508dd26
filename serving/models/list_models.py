"""What the registry holds, for people and programs."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from cellmark.schemas.errors import Finding
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import public_uri

from .find_version import RegisteredModel, find_restored, versions_of
from .registry import open_registry, refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

PAGE = 1000


@dataclass(frozen=True)
class VersionEntry:
    """One version. `created`: UTC, to the second. `tags`: as in the registry, see `tracking/registry_tags.py`."""

    version: str
    aliases: tuple[str, ...]
    created: str
    run_id: str | None
    tags: dict[str, str]

    def measure(self, name: str) -> float | None:
        """A measure that is kept as a tag; None where it is missing or not a number."""
        try:
            return float(self.tags[name])
        except (KeyError, ValueError):
            return None


@dataclass(frozen=True)
class ModelEntry:
    """One registered model. `versions`: oldest first."""

    name: str
    aliases: dict[str, str]
    versions: tuple[VersionEntry, ...]

    @property
    def champion(self) -> VersionEntry | None:
        number = self.aliases.get(tags.CHAMPION)
        return next((entry for entry in self.versions if entry.version == number), None)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        versions = [{**asdict(entry), "aliases": list(entry.aliases)} for entry in self.versions]
        return {"name": self.name, "aliases": self.aliases, "versions": versions}


@dataclass(frozen=True)
class ModelList:
    """`uri`: of the registry, without credentials. `models`: by name."""

    uri: str
    models: tuple[ModelEntry, ...]


def list_models(*, uri: str | None = None, on_note: Callable[[Finding], None] = lambda note: None) -> ModelList:
    """All registered models with their versions. Raises `RegistryError` when MLflow does not answer.

    A name that was never given a champion gets one (see `first_champion.py`), which `on_note` is called with.
    """
    client = open_registry(uri)
    models = [find_restored(client, name, on_note) for name in _all_names(client)]
    by_name: dict[str, list[ModelVersion]] = {}
    for version in versions_of(client):
        by_name.setdefault(version.name, []).append(version)
    entries = [_model_entry(model, by_name.get(model.name, [])) for model in models]
    return ModelList(public_uri(client.tracking_uri), tuple(entries))


def show_model(
    name: str, *, uri: str | None = None, on_note: Callable[[Finding], None] = lambda note: None
) -> ModelEntry:
    """One registered model with its versions. Raises `RegistryError` (`MODEL_UNKNOWN` among others).

    `on_note`: as for `list_models`.
    """
    client = open_registry(uri)
    return _model_entry(find_restored(client, name, on_note), versions_of(client, name))


def utc(milliseconds: int) -> str:
    """MLflow's times, as the manifest writes them."""
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _model_entry(model: RegisteredModel, versions: "list[ModelVersion]") -> ModelEntry:
    entries = [
        VersionEntry(
            str(version.version),
            model.aliases_of(str(version.version)),
            utc(version.creation_timestamp),
            version.run_id or None,
            dict(version.tags or {}),
        )
        for version in versions
    ]
    return ModelEntry(model.name, dict(sorted(model.aliases.items())), tuple(entries))


def _all_names(client: "MlflowClient") -> list[str]:
    names: list[str] = []
    token = None
    while True:
        with refusals(client.tracking_uri):
            page = client.search_registered_models(max_results=PAGE, page_token=token)
        names += [entry.name for entry in page]
        token = page.token
        if not token:
            return sorted(names)
