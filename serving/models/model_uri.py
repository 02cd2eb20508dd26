"""The ways in which people name a model in MLflow, parsed."""

import re
from dataclasses import dataclass

from cellmark.schemas.errors import RegistryError

LATEST = "latest"
FORMS = "models:/NAME@ALIAS, models:/NAME/VERSION, models:/NAME/latest or runs:/RUN_ID/PATH"


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


def parse_model_uri(uri: str) -> VersionUri | RunUri:
    """Parse a URI. Raises `RegistryError` (`MODEL_UNKNOWN`) when it has another form."""
    if found := re.fullmatch(r"models:/([^/@]+)@([\w-]+)", uri):
        return VersionUri(found[1], alias=found[2])
    if found := re.fullmatch(rf"models:/([^/@]+)/(\d+|{LATEST})", uri):
        return VersionUri(found[1], version=found[2])
    if found := re.fullmatch(r"runs:/([\w-]+)/(.+)", uri):
        parts = found[2].strip("/").split("/")
        if not {"", ".", ".."} & set(parts):
            return RunUri(found[1], "/".join(parts))
    bare = re.fullmatch(r"models:/([^/@]+)/?", uri)
    remedy = f"Say which version, such as models:/{bare[1]}@champion." if bare else "Write it in one of these forms."
    raise RegistryError.of("MODEL_UNKNOWN", where="model", expected=FORMS, found=repr(uri), remedy=remedy)
