"""What a shell completes: models, cell types, columns of obs. Nothing is asked of a server, and MLflow is not imported:
a key is not kept waiting. What cannot be told at once is left to the user.
"""

import json
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import typer

MANIFEST = "manifest.json"
"""As in `schemas/manifest/manifest.py`, whose import takes longer than all that is done here."""


def complete_model(incomplete: str) -> list[str]:
    """Registered models by name, their URIs behind `models:/`, and bundle folders."""
    if incomplete.startswith("models:/"):
        known = [
            uri
            for name, versions in _registered().items()
            for uri in (*(f"models:/{name}@{alias}" for alias in versions), f"models:/{name}/")
        ]
    else:
        known = [*_registered(), *_bundles(incomplete)]
    return _those(known, incomplete)


def complete_cell_type(ctx: typer.Context, incomplete: str) -> list[str]:
    """The types of the model that `--model` names, where its manifest is on this machine."""
    manifest = _manifest(str(ctx.params.get("model") or ""))
    return _those((str(one["name"]) for one in manifest.get("cell_types", ())), incomplete)


def complete_obs(incomplete: str) -> list[str]:
    """The columns of obs of the cells that the command was given."""
    from cellmark.schemas.typed_columns import typed_columns

    return typed_columns(incomplete)


def _those(known: Iterable[str], incomplete: str) -> list[str]:
    from cellmark.schemas.typed_columns import in_shell

    return in_shell(sorted({name for name in known if name.startswith(incomplete)}))


def _bundles(incomplete: str) -> list[str]:
    folder = Path(incomplete) if incomplete.endswith("/") else Path(incomplete).parent
    try:
        inside = sorted(folder.iterdir())
    except OSError:
        return []
    return [str(one) for one in inside if (one / MANIFEST).is_file()]


def _asked(query: str, *values: str) -> list[tuple[Any, ...]]:
    """Rows of the registry, where that is a SQLite file."""
    from cellmark.schemas.errors import CellmarkError
    from cellmark.schemas.tracking.tracking_uri import find_registry, sqlite_path

    try:
        path = sqlite_path(find_registry().uri)
        if path is None or not path.is_file():
            return []
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
            return database.execute(query, values).fetchall()
    except (CellmarkError, sqlite3.Error, OSError, ValueError):
        return []


def _registered() -> dict[str, list[str]]:
    """Registered models with their aliases."""
    found: dict[str, list[str]] = {str(name): [] for (name,) in _asked("SELECT name FROM registered_models")}
    for name, alias in _asked("SELECT name, alias FROM registered_model_aliases"):
        found.setdefault(str(name), []).append(str(alias))
    return found


def _manifest(model: str) -> dict[str, Any]:
    """The manifest of a bundle folder, or of a registered version whose files are on this machine; empty otherwise."""
    for folder in (Path(model),) if model and Path(model).is_dir() else _folders(model):
        try:
            found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        return found
    return {}


def _folders(model: str) -> Iterator[Path]:
    """Where the bundle of a registered version may lie: among the artifacts, or in the cache."""
    name, at, alias = model.removeprefix("models:/").partition("@")
    name, _, version = (name, "", "") if at else name.partition("/")
    if not version:
        aliases = "SELECT version FROM registered_model_aliases WHERE name = ? AND alias = ?"
        version = next((str(found) for (found,) in _asked(aliases, name, alias or "champion")), "")
    places = "SELECT storage_location FROM model_versions WHERE name = ? AND version = ?"
    for (place,) in _asked(places, name, version):
        parts = urlsplit(str(place or ""))
        if parts.scheme in ("", "file") and parts.path:
            yield from (Path(unquote(parts.path)) / "bundle", Path(unquote(parts.path)))
    digests = "SELECT value FROM model_version_tags WHERE name = ? AND version = ? AND key = 'manifest_digest'"
    for (digest,) in _asked(digests, name, version):
        from ..models.model_source import cache_folder

        yield cache_folder() / "bundles" / str(digest)
