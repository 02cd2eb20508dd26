"""The files of a bundle: their names, how a folder of them is sealed, and whether it is what its manifest says."""

import json
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Any

from pydantic import ValidationError

from ..errors import BundleError, Finding
from .manifest import FORMAT_VERSION, MANIFEST_NAME, FileEntry, Manifest, bundle_digest, manifest_digest, seal
from .manifest_section import canonical_json

ANNOTATOR = "annotator.onnx"
EXPLAINER = "explainer.onnx"
DISTILLED = "distilled.onnx"
"""Optional: one network that learned the answers of the ensemble, an annotator like the other at less cost."""
GENES = "genes.parquet"
ATTRIBUTION_SHARE = "attribution_share"
"""Column of the genes' shares of the attribution mass, overall; `attribution_share:<type>` of each type's own."""
MARKERS = "markers.parquet"
EXPECTATIONS = "expectations.json"
GOLDEN_CELLS = "golden_cells.npz"
REQUIRED = (ANNOTATOR, EXPLAINER, GENES, MARKERS, EXPECTATIONS, GOLDEN_CELLS)
REPORT, MODEL_CARD = "report.html", "MODEL_CARD.md"
CELL_MAP, TRAINING_SUMMARY = "cell_map.parquet", "training_summary.json"
"""Optional: the two texts for people, and what only they need."""
REFERENCE_PROFILE, DISTILLED_PROFILE = "reference_profile.json", "distilled_profile.json"
"""Optional: what held-out cells looked like to each annotator, for `cellmark drift`."""
MARKER_SPREAD = "marker_spread.json"
"""Optional: how the best markers are spread over types and over the UMAP, as the report shows it."""
WORKED_EXAMPLES = "worked_examples.json"
"""Optional: real cells, one of each type, as the report explains them; without it they are drawn ones."""
REFERENCE_PLANE = "reference_plane.json"
"""Optional: where held-out cells of each type lie in a flat view of the embedding, for the picture of `drift`."""


def write_manifest(folder: Path, raw: dict[str, Any]) -> Manifest:
    """Seal a folder of finished files into a bundle. `raw`: the manifest without `files` and digests."""
    sealed = _seal_folder(folder, raw)
    (folder / MANIFEST_NAME).write_bytes(sealed)
    return Manifest.model_validate_json(sealed)


def draft_manifest(folder: Path, raw: dict[str, Any]) -> Manifest:
    """The manifest of the files that are there so far, not written: for texts in the bundle that describe it."""
    return Manifest.model_validate_json(_seal_folder(folder, raw))


def _seal_folder(folder: Path, raw: dict[str, Any]) -> bytes:
    files = {
        path.relative_to(folder).as_posix(): entry_of(path).model_dump()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    }
    return seal({**raw, "format_version": FORMAT_VERSION, "files": files})


def entry_of(path: Path) -> FileEntry:
    """Digest and size of a file."""
    with path.open("rb") as handle:
        return FileEntry(sha256=file_digest(handle, "sha256").hexdigest(), size=path.stat().st_size)


LARGEST_MANIFEST = 64 * 1024**2
"""Bytes; a larger manifest is refused before it is read."""

DAMAGED = "Fetch the bundle again from where it came; if it was edited on purpose, train or export it anew."


def verify_folder(root: Path) -> Manifest:
    """The manifest of a folder in which nothing differs from it. Raises `BundleError` with all that does."""
    try:
        manifest = _parse_manifest(_read_manifest(root / MANIFEST_NAME))
        # Unsafe paths are not even looked at.
        findings = _path_findings(root, manifest) or _missing_findings(root, manifest)
        if not findings:
            findings = [*_unlisted_findings(root, manifest), *_digest_findings(root, manifest)]
    except OSError as error:
        raise content_error(str(root), "files that can be read", error.strerror or str(error)) from error
    if findings:
        raise BundleError(*findings)
    return manifest


def content_error(where: str, expected: str, found: str) -> BundleError:
    """A file of the bundle that is not of the documented form."""
    return BundleError.of("BUNDLE_CONTENT_INVALID", where=where, expected=expected, found=found, remedy=DAMAGED)


def _invalid_manifest(expected: str, found: str) -> BundleError:
    return BundleError.of(
        "BUNDLE_MANIFEST_INVALID", where=MANIFEST_NAME, expected=expected, found=found, remedy=DAMAGED
    )


def _read_manifest(path: Path) -> dict[str, Any]:
    if path.is_symlink() or not path.is_file():
        raise _invalid_manifest("a file manifest.json in the bundle's folder", "none: this folder is not a bundle")
    if path.stat().st_size > LARGEST_MANIFEST:
        raise _invalid_manifest(f"at most {LARGEST_MANIFEST} bytes", f"{path.stat().st_size} bytes")
    data = path.read_bytes()
    try:
        raw = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _invalid_manifest("JSON", f"something else ({error})") from error
    if not isinstance(raw, dict):
        raise _invalid_manifest("a JSON object", type(raw).__name__)
    version = raw.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise BundleError.of(
            "BUNDLE_FORMAT_UNKNOWN",
            where=MANIFEST_NAME,
            expected=f"format version {FORMAT_VERSION}",
            found=f"{version!r}",
            remedy="Install a cellmark that knows this format, or export the model again.",
        )
    try:
        canonical = canonical_json(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid_manifest("numbers that JSON knows", str(error)) from error
    if canonical != data:
        raise _invalid_manifest("canonical JSON, as cellmark writes it", "another byte form of it")
    if raw.get("manifest_digest") != manifest_digest(raw) or raw.get("bundle_digest") != bundle_digest(raw):
        raise BundleError.of(
            "BUNDLE_DIGEST_MISMATCH",
            where=MANIFEST_NAME,
            expected="content that matches its own digests",
            found="other content: the manifest was changed",
            remedy=DAMAGED,
        )
    return raw


def _parse_manifest(raw: dict[str, Any]) -> Manifest:
    try:
        return Manifest.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise _invalid_manifest("the fields of format 1", f"{place}: {first['msg']}") from error


def _path_findings(root: Path, manifest: Manifest) -> list[Finding]:
    unsafe = [name for name in manifest.files if _is_unsafe(root, name)]
    unsafe += [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_symlink()]
    return [
        Finding(
            "BUNDLE_PATH_UNSAFE",
            where=name,
            expected="a plain file inside the bundle",
            found="a path or link that leads elsewhere",
            remedy="Do not use this bundle; fetch it again from where it came.",
        )
        for name in sorted(set(unsafe))
    ]


def _is_unsafe(root: Path, name: str) -> bool:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or name != parts.as_posix():
        return True
    path = root / name
    try:
        return path.is_symlink() or not path.resolve().is_relative_to(root.resolve())
    except (OSError, ValueError):
        # No file can have such a name: too long, or with a NUL in it.
        return True


def _missing_findings(root: Path, manifest: Manifest) -> list[Finding]:
    return [
        Finding(
            "BUNDLE_FILE_MISSING", where=name, expected="a file of the bundle", found="nothing there", remedy=DAMAGED
        )
        for name in sorted({*REQUIRED, *manifest.files})
        if name not in manifest.files or not (root / name).is_file()
    ]


def _unlisted_findings(root: Path, manifest: Manifest) -> list[Finding]:
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    return [
        Finding(
            "BUNDLE_FILE_UNLISTED",
            where=name,
            expected="only files that the manifest lists",
            found="one that it does not",
            remedy="Remove the file from the bundle's folder.",
        )
        for name in sorted(there - {*manifest.files, MANIFEST_NAME})
    ]


def _digest_findings(root: Path, manifest: Manifest) -> list[Finding]:
    found = []
    for name, listed in manifest.files.items():
        actual = entry_of(root / name)
        if actual != listed:
            text = f"{actual.size} bytes with SHA-256 {actual.sha256[:12]}…"
            expected = f"{listed.size} bytes with SHA-256 {listed.sha256[:12]}…"
            found.append(Finding("BUNDLE_DIGEST_MISMATCH", where=name, expected=expected, found=text, remedy=DAMAGED))
    return found
