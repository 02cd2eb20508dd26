"""The last version of each model that passed its self-test here, kept in the cache for a start without the registry."""

import hashlib
import json
import logging
import shutil
from dataclasses import asdict
from pathlib import Path

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError
from cellmark.schemas.tracking.tracking_uri import public_uri

from ..models.model_source import cache_folder, cached_bundle
from .ask_registry import registry_uri
from .version_record import ServedVersion

logger = logging.getLogger("cellmark.serving")


def remember_good(uri: str, version: ServedVersion) -> None:
    """Keep a copy of the bundle and note that it is what `uri` means. A cache that cannot be written is only logged."""
    try:
        place = _place(uri)
        bundle = Bundle.open(version.folder)
        kept = cached_bundle(bundle.manifest.manifest_digest, lambda draft: _copy(bundle, draft))
        text = json.dumps({**asdict(version), "folder": str(kept.resolve())})
        with whole_file(place, force=True) as draft:
            draft.write_text(text, encoding="utf-8")
    except (CellmarkError, OSError) as error:
        logger.warning("%s cannot be kept for a start without the registry: %s", uri, error)


def last_good(uri: str) -> ServedVersion | None:
    """The version that `remember_good` noted last, if its bundle is still whole."""
    try:
        found = ServedVersion(**json.loads(_place(uri).read_text(encoding="utf-8")))
        return found if Bundle.open(found.folder).digest == found.digest else None
    except (CellmarkError, OSError, ValueError, TypeError):
        return None


def _place(uri: str) -> Path:
    """Names of models repeat among registries, so the registry is part of the name."""
    name = hashlib.sha256(f"{public_uri(registry_uri())}\n{uri}".encode()).hexdigest()[:32]
    return cache_folder() / "last-good" / f"{name}.json"


def _copy(bundle: Bundle, draft: Path) -> None:
    shutil.copytree(bundle.folder, draft, dirs_exist_ok=True)
