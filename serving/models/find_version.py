"""The ways in which people name a model in MLflow, and the version that is meant; an error names those that exist."""

import re
import shlex
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from cellmark.schemas.errors import Finding, RegistryError
from cellmark.schemas.near_names import near_names
from cellmark.schemas.tracking.registry_tags import CHAMPION, restore_champion
from cellmark.schemas.tracking.tracking_uri import public_uri

from .registry import ask, refusals

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion


LATEST = "latest"
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME/latest, models:/m-ID or runs:/RUN_ID/PATH"


@dataclass(frozen=True)
class VersionUri:
    """`models:/...`: exactly one of `alias` and `version` is set; `version` is a number or `latest`."""

    name: str
    alias: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class RunUri:
    """`runs:/...`: a folder among the artifacts of a run."""

    run_id: str
    path: str


@dataclass(frozen=True)
class LoggedUri:
    """`models:/m-...`: a LoggedModel, as MLflow lists it among the models of an experiment."""

    model_id: str


def shown(wanted: VersionUri) -> str:
    """The URI as it is pasted behind `-m`."""
    version = f"/{wanted.version}" if wanted.alias is None else f"@{wanted.alias}"
    return shlex.quote(f"models:/{wanted.name}{version}")


def parse_model_uri(uri: str) -> VersionUri | LoggedUri | RunUri:
    """Parse a URI. Raises `RegistryError` (`MODEL_UNKNOWN`) when it has another form."""
    if found := re.fullmatch(r"models:/(m-[0-9a-f]{32})", uri):
        return LoggedUri(found[1])
    if found := re.fullmatch(r"models:/([^/@]+)@([\w-]+)", uri):
        return VersionUri(found[1], alias=found[2])
    if found := re.fullmatch(rf"models:/([^/@]+)/(\d+|{LATEST})", uri):
        return VersionUri(found[1], version=found[2])
    if found := re.fullmatch(r"runs:/([\w-]+)/(.+)", uri):
        parts = found[2].strip("/").split("/")
        if not {"", ".", ".."} & set(parts):
            return RunUri(found[1], "/".join(parts))
    bare = re.fullmatch(r"models:/([^/@]+)[/@]?", uri)
    remedy = "Write it in one of these forms."
    if bare is not None and re.fullmatch(r"m-[0-9a-f]{8,}", bare[1]):
        remedy = "An id has 32 digits and letters behind m-: copy it whole from MLflow's page of the model."
    elif bare is not None:
        remedy = f"Did you mean {shown(VersionUri(bare[1], alias=CHAMPION))}?"
    raise RegistryError.of("MODEL_UNKNOWN", where="model", expected=FORMS, found=repr(uri), remedy=remedy)


def find_logged(client: "MlflowClient", wanted: LoggedUri) -> "LoggedModel":
    """The LoggedModel of an id. Raises `RegistryError` (`MODEL_UNKNOWN`) when there is none, or it is not whole."""
    model = ask(client, lambda: client.get_logged_model(wanted.model_id))
    if model is not None and model.status == "READY":
        return model
    raise RegistryError.of(
        "MODEL_UNKNOWN",
        where=f"models:/{wanted.model_id}",
        expected=f"a model logged at {public_uri(client.tracking_uri)}",
        found="none of that id" if model is None else f"one that was never logged to its end ({model.status})",
        remedy="See all registered models: `cellmark models list`. Or set MLFLOW_TRACKING_URI to where it was trained.",
    )


MOST_LISTED = 20
PAGE = 1000


@dataclass(frozen=True)
class RegisteredModel:
    """A name in the registry. `aliases`: version numbers by alias."""

    name: str
    aliases: dict[str, str]
    description: str

    def aliases_of(self, version: str) -> tuple[str, ...]:
        return tuple(sorted(alias for alias, number in self.aliases.items() if number == version))


def find_model(client: "MlflowClient", name: str, written: Callable[[str], str] = str) -> RegisteredModel:
    """The registered model `name`. Raises `RegistryError` (`MODEL_UNKNOWN`), which lists the names there are, and those
    that may have been meant as `written` says.
    """
    model = ask(client, lambda: client.get_registered_model(name))
    if model is not None:
        aliases = {alias: str(number) for alias, number in (model.aliases or {}).items()}
        return RegisteredModel(model.name, aliases, model.description or "")
    known = registered_names(client)
    near = near_names(name, known)
    more = f" and {len(known) - MOST_LISTED} more" if len(known) > MOST_LISTED else ""
    raise RegistryError.of(
        "MODEL_UNKNOWN",
        where=f"models:/{name}",
        expected=f"a model registered at {public_uri(client.tracking_uri)}",
        found=f"none of that name; registered are: {', '.join(known[:MOST_LISTED]) or 'none'}{more}",
        remedy=f"Did you mean {' or '.join(map(written, near))}?"
        if near
        else "See all of them: `cellmark models list`. Or set MLFLOW_TRACKING_URI to where it is registered.",
    )


def registered_names(client: "MlflowClient") -> list[str]:
    """Names of the registered models, the first `PAGE` of them."""
    with refusals(client.tracking_uri):
        return [entry.name for entry in client.search_registered_models(max_results=PAGE)]


def find_restored(client: "MlflowClient", name: str, on_note: Callable[[Finding], None]) -> RegisteredModel:
    """As `find_model`; a name gets the champion that a killed registration did not set, and `on_note` a finding.

    Where the registry may only be read, nothing is changed.
    """
    model = find_model(client, name)
    if CHAMPION in model.aliases:
        return model
    with suppress(RegistryError), refusals(client.tracking_uri):
        note = restore_champion(client, name)
        if note is not None:
            on_note(note)
    return find_model(client, name)


def find_version(client: "MlflowClient", wanted: VersionUri) -> "ModelVersion":
    """The version that a URI means. Raises `RegistryError` (`MODEL_UNKNOWN`, `ALIAS_MISSING`), which lists what is."""
    model = find_model(client, wanted.name, lambda name: shown(replace(wanted, name=name)))
    number = wanted.version
    if wanted.alias is not None:
        number = model.aliases.get(wanted.alias)
        if number is None:
            known = ", ".join(f"{alias} (version {there})" for alias, there in sorted(model.aliases.items()))
            near = near_names(wanted.alias, model.aliases) or tuple(sorted(model.aliases))
            raise RegistryError.of(
                "ALIAS_MISSING",
                where=f"models:/{wanted.name}@{wanted.alias}",
                expected=f"an alias of {wanted.name}",
                found=f"none of that name; its aliases are: {known or 'none'}",
                remedy=f"Did you mean {' or '.join(shown(VersionUri(wanted.name, alias=alias)) for alias in near)}?"
                if near
                else f"Name a version; `cellmark models show {shlex.quote(wanted.name)}` lists them.",
            )
    versions: list[ModelVersion] = []
    if number != LATEST:
        version = ask(client, lambda: client.get_model_version(wanted.name, str(number)))
        if version is not None:
            return version
    versions = versions_of(client, wanted.name)
    if number == LATEST and versions:
        return versions[-1]
    listed = ", ".join(str(entry.version) for entry in versions[-MOST_LISTED:])
    raise RegistryError.of(
        "MODEL_UNKNOWN",
        where=f"models:/{wanted.name}/{number}",
        expected=f"a version of {wanted.name}",
        found=f"none of that number; its versions are: {listed or 'none'}",
        remedy=f"Did you mean {shown(VersionUri(wanted.name, version=str(versions[-1].version)))}? It is the newest. "
        f"All of them: `cellmark models show {shlex.quote(wanted.name)}`."
        if versions
        else f"Register one: `cellmark train ... --name {shlex.quote(wanted.name)}`.",
    )


def versions_of(client: "MlflowClient", name: str | None = None) -> "list[ModelVersion]":
    """All versions of a model, or of all models, oldest first."""
    # Names with a double quote are refused at training, so this filter cannot be closed early.
    query = None if name is None else f'name="{name}"'
    found: list[ModelVersion] = []
    token = None
    while True:
        with refusals(client.tracking_uri):
            page = client.search_model_versions(query, max_results=PAGE, page_token=token)
        found += page
        token = page.token
        if not token:
            return sorted(found, key=lambda entry: (entry.name, int(entry.version)))
