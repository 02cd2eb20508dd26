"""A folder of finished files becomes a bundle: the manifest lists every file by its digest, and itself has two."""

from hashlib import file_digest
from pathlib import Path
from typing import Any

from .manifest import FORMAT_VERSION, MANIFEST_NAME, FileEntry, Manifest, seal


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
