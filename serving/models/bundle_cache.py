"""Bundles fetched from far away, kept by their digest; several processes may fetch the same one at once."""

import os
import re
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, OutputError

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
