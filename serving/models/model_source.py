"""Where a model comes from: a bundle folder, or a version in MLflow's registry."""

import json
import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError, RegistryError
from cellmark.schemas.manifest.manifest import MANIFEST_NAME
from cellmark.schemas.tracking import registry_tags as tags
from cellmark.schemas.tracking.tracking_uri import public_uri

from .bare_name import model_meant
from .find_version import LoggedUri, RunUri, find_logged, find_version, parse_model_uri
from .registry import ask, download, open_registry, refusals, where_versions_lie

if TYPE_CHECKING:
    from mlflow import MlflowClient


VARIABLE = "CELLMARK_CACHE"
REMEDY = f"Set {VARIABLE} to a folder that can be written."


def cache_folder(environ: Mapping[str, str] | None = None) -> Path:
    """`CELLMARK_CACHE`, else this user's folder for caches. Nothing is made. Raises `OutputError` without a home."""
    given = os.environ if environ is None else environ
    if given.get(VARIABLE):
        return Path(given[VARIABLE]).expanduser()
    try:
        if sys.platform == "darwin":
            return Path.home() / "Library" / "Caches" / "cellmark"
        if sys.platform == "win32":
            return Path(given.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "cellmark" / "Cache"
        return Path(given.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cellmark"
    except RuntimeError as error:
        raise OutputError.of(
            "OUTPUT_UNWRITABLE", where="cache", expected="a home folder", found=str(error), remedy=REMEDY
        ) from error


def cached_bundle(manifest_digest: str, download: Callable[[Path], None], *, folder: Path | None = None) -> Path:
    """Folder of the bundle with this digest; `download` fills an empty folder where it is not there yet, or is damaged.

    `folder`: instead of `cache_folder()`. A bundle appears there whole or not at all. Raises `OutputError` when the
    cache cannot be written, `BundleError` when what was downloaded is damaged or another bundle.
    """
    if not re.fullmatch(r"[0-9a-f]{64}", manifest_digest):
        raise BundleError.of(
            "BUNDLE_MANIFEST_INVALID",
            where="manifest_digest",
            expected="64 hexadecimal digits",
            found=repr(manifest_digest)[:80],
            remedy="Register the model again.",
        )
    place = (folder or cache_folder()) / "bundles" / manifest_digest
    if _is_whole(place, manifest_digest):
        return place
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".fetch-", dir=place.parent)
    except OSError as error:
        raise OutputError.of(
            "OUTPUT_UNWRITABLE",
            where=str(place.parent),
            expected="a cache that can be written",
            found=str(error),
            remedy=REMEDY,
        ) from error
    with scratch as name:
        draft = Path(name) / "bundle"
        draft.mkdir()
        download(draft)
        found = Bundle.open(draft).manifest.manifest_digest
        if found != manifest_digest:
            raise BundleError.of(
                "BUNDLE_DIGEST_MISMATCH",
                where="manifest.json",
                expected=f"digest {manifest_digest[:12]}…",
                found=f"{found[:12]}…",
                remedy="The bundle was replaced while it was fetched; try again.",
            )
        _move_in(draft, place, manifest_digest)
    return place


def _is_whole(place: Path, manifest_digest: str) -> bool:
    if not place.is_dir():
        return False
    try:
        return Bundle.open(place).manifest.manifest_digest == manifest_digest
    except BundleError:
        return False  # damaged on this disk: it is fetched anew


def _move_in(draft: Path, place: Path, manifest_digest: str) -> None:
    try:
        draft.rename(place)
        return
    except OSError:
        if _is_whole(place, manifest_digest):
            return  # another process was faster
    place.rename(draft.parent / "damaged")
    draft.rename(place)


@dataclass(frozen=True)
class FetchedBundle:
    """A bundle on this machine, still to be verified. `name`, `version`: None for one that is not registered."""

    folder: Path
    name: str | None
    version: str | None


def fetch_bundle(model: str, *, uri: str | None = None) -> FetchedBundle:
    """The bundle behind `models:/name@alias`, `models:/name/3` (or `latest`), `models:/m-id` or `runs:/id/path`.

    Artifacts on this machine are used where they lie; others are fetched once, into the cache. `uri`: where MLflow is,
    by default as `tracking/tracking_uri.py` says. Raises `RegistryError` (`REGISTRY_UNREACHABLE` within seconds,
    `MODEL_UNKNOWN`, `ALIAS_MISSING`, `RUN_UNKNOWN`, `REGISTRY_REFUSED`), and `BundleError` when the bundle is damaged
    or not the one that was registered.
    """
    wanted = parse_model_uri(model)
    client = open_registry(uri)
    if isinstance(wanted, RunUri):
        return FetchedBundle(_bring(client.tracking_uri, run_location(client, wanted), model), None, None)
    if isinstance(wanted, LoggedUri):
        logged = find_logged(client, wanted)
        folder = _bring(client.tracking_uri, logged.artifact_location, model)
        _check_registered(folder, logged.tags, model)
        return FetchedBundle(folder, None, None)
    version = find_version(client, wanted)
    with refusals(client.tracking_uri):
        location = client.get_model_version_download_uri(version.name, str(version.version))
    folder = _bring(where_versions_lie(client), location, model)
    _check_registered(folder, version.tags, model)
    return FetchedBundle(folder, version.name, str(version.version))


def _check_registered(folder: Path, told: Mapping[str, str] | None, model: str) -> None:
    """Raise `BundleError` unless the bundle is the one that the tags of its version or LoggedModel tell of."""
    registered = (told or {}).get(tags.MANIFEST_DIGEST)
    if registered is not None and registered != _manifest_digest(folder / MANIFEST_NAME):
        raise BundleError.of(
            "BUNDLE_DIGEST_MISMATCH",
            where=model,
            expected=f"the manifest of digest {registered[:12]}… that was registered",
            found="another one among its artifacts",
            remedy="Register the model again.",
        )


def run_location(client: "MlflowClient", wanted: RunUri) -> str:
    """Where the artifacts lie that a URI means. Raises `RegistryError` (`RUN_UNKNOWN`) when there is no such run.

    A run's model lies among its artifacts, or is a LoggedModel, which is meant by its name or as `model`.
    """
    run = ask(client, lambda: client.get_run(wanted.run_id))
    if run is None:
        raise RegistryError.of(
            "RUN_UNKNOWN",
            where=f"runs:/{wanted.run_id}",
            expected=f"a run tracked at {public_uri(client.tracking_uri)}",
            found="none of that id",
            remedy="Check the id and MLFLOW_TRACKING_URI.",
        )
    first, _, rest = wanted.path.partition("/")
    outputs = getattr(run, "outputs", None)
    for output in reversed(outputs.model_outputs if outputs is not None else ()):
        model = ask(client, lambda: client.get_logged_model(output.model_id))  # noqa: B023  (called at once)
        if model is not None and first in (tags.RUN_MODEL, model.name):
            return f"{model.artifact_location}/{rest}".rstrip("/")
    return f"{run.info.artifact_uri}/{wanted.path}"


def local_folder(location: str) -> Path | None:
    """The folder that an artifact location names, None when it is on another machine."""
    parts = urlsplit(location)
    if parts.scheme == "file":
        return Path(unquote(parts.path))
    return Path(location) if parts.scheme == "" else None


def _bring(uri: str, location: str, model: str) -> Path:
    """The bundle at `location`, a bundle itself or a model with one in its subfolder. `uri`: as in `download`."""
    folder = local_folder(location)
    if folder is not None:
        for candidate in (folder / tags.BUNDLE_FOLDER, folder):
            if (candidate / MANIFEST_NAME).is_file():
                return candidate
        found = "a model without one" if folder.is_dir() else "no such folder on this machine"
        raise _without_bundle(model, location, found)
    with TemporaryDirectory(prefix="cellmark-manifest-") as scratch:
        for place in (f"{location}/{tags.BUNDLE_FOLDER}", location):
            try:
                manifest = download(uri, f"{place}/{MANIFEST_NAME}", Path(scratch))
            except RegistryError as error:
                refusal = error
                continue
            digest = _manifest_digest(manifest)
            return cached_bundle(digest, lambda draft: _fill(uri, place, draft))  # noqa: B023  (called at once)
    raise _without_bundle(model, location, refusal.findings[0].found) from refusal


def _fill(uri: str, location: str, draft: Path) -> None:
    fetched = download(uri, location, draft)
    if fetched.resolve() != draft.resolve():
        for entry in list(fetched.iterdir()):
            entry.rename(draft / entry.name)
        fetched.rmdir()


def _manifest_digest(path: Path) -> str:
    """What a manifest says of itself; whether that is true, `Bundle.open` finds out."""
    try:
        return str(json.loads(path.read_bytes())["manifest_digest"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BundleError.of(
            "BUNDLE_MANIFEST_INVALID",
            where=MANIFEST_NAME,
            expected="JSON with a digest",
            found="something else",
            remedy="Register the model again.",
        ) from error


def _without_bundle(model: str, location: str, found: str) -> RegistryError:
    return RegistryError.of(
        "MODEL_UNKNOWN",
        where=model,
        expected=f"a cellmark bundle at {public_uri(location)}",
        found=found,
        remedy="Name a version that cellmark registered, on a machine that can reach its artifacts.",
    )


@dataclass(frozen=True)
class ModelSource:
    """A verified bundle and the name it goes by. `version`: of the registered model, None for a bare folder."""

    bundle: Bundle
    name: str
    version: str | None
    uri: str


def open_model(model: str | os.PathLike[str]) -> ModelSource:
    """The model behind `model`: a bundle folder, `models:/name@alias`, `models:/name/version`, `models:/m-id` of a
    LoggedModel, `runs:/id/path`, or the bare name of a registered model, of which the champion is taken.

    Raises `ModelError` when there is none, `BundleError` when it is damaged, `RegistryError` when MLflow does not
    answer or lacks the alias.
    """
    text = model_meant(os.fspath(model))
    if text.startswith(("models:/", "runs:/")):
        fetched = fetch_bundle(text)
        bundle = Bundle.open(fetched.folder)
        return ModelSource(bundle, fetched.name or bundle.manifest.name, fetched.version, text)
    bundle = Bundle.open(Path(text))
    return ModelSource(bundle, bundle.manifest.name, None, text)
