"""A model by its name alone: `-m pbmc` is `models:/pbmc@champion` where no folder of that name is."""

import os
import re
import shlex
from pathlib import Path

from cellmark.schemas.errors import ModelError, RegistryError
from cellmark.schemas.manifest.manifest import MANIFEST_NAME
from cellmark.schemas.near_names import near_names
from cellmark.schemas.tracking.registry_tags import CHAMPION

from .find_version import registered_names
from .registry import open_registry

BARE = re.compile(r"[^/\\@:]+")
FORMS = "a bundle folder, the name of a registered model, or models:/NAME@ALIAS"


def model_meant(model: str) -> str:
    """`model`, or the URI of the champion where it is the bare name of a registered model and no folder of that name is
    there. Raises `ModelError` (`MODEL_UNKNOWN`) for a bare name that is neither.
    """
    if not BARE.fullmatch(model) or os.path.lexists(model):
        return model
    try:
        names = registered_names(open_registry())
    except RegistryError as error:
        if error.code != "REGISTRY_UNREACHABLE":
            raise
        (finding,) = error.findings
        remedy = _meant(model, _bundles()) or finding.remedy
        raise _unknown(model, f"no such folder, and at {finding.where} {finding.found}", remedy) from error
    if model in names:
        return f"models:/{model}@{CHAMPION}"
    remedy = _meant(model, [*names, *_bundles()]) or "See all registered models: `cellmark models list`."
    raise _unknown(model, f"neither; registered are: {', '.join(names[:10]) or 'none'}", remedy)


def _meant(model: str, known: list[str]) -> str:
    near = near_names(model, known)
    return f"Did you mean {' or '.join(f'-m {shlex.quote(name)}' for name in near)}?" if near else ""


def _bundles() -> list[str]:
    """Bundle folders in the working folder."""
    return sorted(path.parent.name for path in Path().glob(f"*/{MANIFEST_NAME}"))


def _unknown(model: str, found: str, remedy: str) -> ModelError:
    return ModelError.of("MODEL_UNKNOWN", where=model, expected=FORMS, found=found, remedy=remedy)
