"""The bundle: one folder that is a model, verified before anything of it is loaded."""

import json
import os
from dataclasses import dataclass
from functools import cached_property
from hashlib import file_digest
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from .canonical_json import canonical_json
from .errors import BundleError, Finding, ModelError
from .genes.gene_panel import GenePanel
from .genes.panel_evidence import PanelEvidence
from .manifest.expectations_format import library_size_range, parse_expectations
from .manifest.manifest import (
    FORMAT_VERSION,
    MANIFEST_NAME,
    FileEntry,
    Manifest,
    bundle_digest,
    manifest_digest,
    seal,
)

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
LARGEST_MANIFEST = 64 * 1024**2
"""Bytes; a larger manifest is refused before it is read."""

DAMAGED = "Fetch the bundle again from where it came; if it was edited on purpose, train or export it anew."


@dataclass(frozen=True)
class Bundle:
    """A verified bundle. Make one with `Bundle.open`; constructing it directly verifies nothing."""

    folder: Path
    manifest: Manifest

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> "Bundle":
        """The bundle in `folder`, all its digests verified.

        Raises `ModelError` (`MODEL_UNKNOWN`) when there is no such folder and `BundleError` when anything differs from
        the manifest: a byte of any file (the manifest included), a file too many or missing, an unknown format
        version, a path or link that leads out of the folder.
        """
        root = Path(folder)
        if not os.path.isdir(root):  # Path.is_dir raises for a folder that may not be looked into
            raise ModelError(
                Finding("MODEL_UNKNOWN", str(root), "a bundle folder or a models:/ URI", "no such folder",
                        "Check the path, or list registered models with `cellmark models list`.")
            )  # fmt: skip
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
        return cls(root, manifest)

    def path(self, name: str) -> Path:
        """Where a file of the bundle lies."""
        return self.folder / name

    @property
    def digest(self) -> str:
        return self.manifest.bundle_digest

    @cached_property
    def genes(self) -> pd.DataFrame:
        """One row per gene of the panel, in the order of the graphs' inputs. Raises `BundleError` on another file."""
        genes = _read_table(self.path(GENES))
        if not {"gene_symbol", "baseline"} <= set(genes.columns) or not genes["gene_symbol"].is_unique:
            raise content_error(GENES, "gene_symbol, each once, and baseline", "other columns or repeated genes")
        return genes

    @cached_property
    def markers(self) -> pd.DataFrame:
        """The marker table, columns as in `manifest/marker_table.py`. Raises `BundleError` on another file."""
        return _read_table(self.path(MARKERS))

    @cached_property
    def panel(self) -> GenePanel:
        """The gene panel. Raises `BundleError` when it is not the one that the manifest names."""
        ids = self.genes["gene_id"] if "gene_id" in self.genes.columns else None
        panel = GenePanel(
            tuple(self.genes["gene_symbol"]),
            None if ids is None else tuple(text if isinstance(text, str) else None for text in ids),
            self.manifest.organism,
            self._evidence(),
        )
        if panel.digest != self.manifest.panel.digest:
            raise content_error(GENES, "the panel that the manifest names", "other genes, or another order")
        return panel

    def _evidence(self) -> PanelEvidence | None:
        """What each gene carries; None for a bundle of an earlier version, which does not tell."""
        names = [ATTRIBUTION_SHARE, *(f"{ATTRIBUTION_SHARE}:{name}" for name in self.manifest.cell_type_names)]
        if not set(names) <= set(self.genes.columns):
            return None
        try:
            shares = self.genes[names].to_numpy(dtype=np.float64).T
        except (TypeError, ValueError) as error:
            raise content_error(GENES, "attribution shares that are numbers", str(error)) from error
        if not (np.isfinite(shares).all() and (shares >= 0).all()):
            raise content_error(GENES, "attribution shares of at least 0", "other values")
        if shares[0].sum() == 0:
            return None
        floors = self.manifest.panel.overlap
        return PanelEvidence(
            shares[0],
            shares[1:],
            self.manifest.cell_type_names,
            floors.min_mass if floors is not None else None,
            floors.min_type_mass if floors is not None else None,
        )

    @cached_property
    def expectations(self) -> dict[str, Any]:
        """The Great Expectations suites, as `schemas/quality/expectations.py` writes them. Raises `BundleError`."""
        try:
            loaded: dict[str, Any] = json.loads(self.path(EXPECTATIONS).read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise content_error(EXPECTATIONS, "JSON", str(error)) from error
        return loaded

    @cached_property
    def library_size_range(self) -> tuple[float, float] | None:
        """Where library sizes of training cells lie; None where the expectations do not say."""
        try:
            return library_size_range(parse_expectations(self.expectations))
        except BundleError:  # who compares an input with them is told; calls do not need them
            return None

    def check_cell_type(self, cell_type: str, *, where: str = "cell_type") -> int:
        """Number of a cell type among the graphs' outputs. Raises `ModelError` when the model has no such type."""
        names = self.manifest.cell_type_names
        if cell_type not in names:
            raise ModelError(
                Finding("CELL_TYPE_UNKNOWN", where, "one of the model's cell types", repr(cell_type),
                        "Name one of: " + ", ".join(names) + ".")
            )  # fmt: skip
        return names.index(cell_type)


def write_manifest(folder: Path, raw: dict[str, Any]) -> Manifest:
    """Seal a folder of finished files into a bundle. `raw`: the manifest without `files` and digests."""
    sealed = _seal_folder(folder, raw)
    (folder / MANIFEST_NAME).write_bytes(sealed)
    return Manifest.model_validate_json(sealed)


def draft_manifest(folder: Path, raw: dict[str, Any]) -> Manifest:
    """The manifest of the files that are there so far, not written: for texts in the bundle that tell of it."""
    return Manifest.model_validate_json(_seal_folder(folder, raw))


def _seal_folder(folder: Path, raw: dict[str, Any]) -> bytes:
    files = {
        path.relative_to(folder).as_posix(): _entry(path).model_dump()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / MANIFEST_NAME
    }
    return seal({**raw, "format_version": FORMAT_VERSION, "files": files})


def _entry(path: Path) -> FileEntry:
    with path.open("rb") as handle:
        return FileEntry(sha256=file_digest(handle, "sha256").hexdigest(), size=path.stat().st_size)


def _read_table(path: Path) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except (OSError, ValueError, KeyError) as error:  # pyarrow's own errors are kinds of these
        raise content_error(path.name, "a Parquet table", str(error).splitlines()[0]) from error


def read_optional_table(bundle: Bundle, name: str) -> pd.DataFrame | None:
    """A table that not every bundle has, None where there is none. Raises `BundleError` on another file."""
    return _read_table(bundle.path(name)) if name in bundle.manifest.files else None


def content_error(where: str, expected: str, found: str) -> BundleError:
    """A file of the bundle that is not of the documented form."""
    return BundleError(Finding("BUNDLE_CONTENT_INVALID", where, expected, found, DAMAGED))


def _invalid_manifest(expected: str, found: str) -> BundleError:
    return BundleError(Finding("BUNDLE_MANIFEST_INVALID", MANIFEST_NAME, expected, found, DAMAGED))


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
        raise BundleError(
            Finding("BUNDLE_FORMAT_UNKNOWN", MANIFEST_NAME, f"format version {FORMAT_VERSION}", f"{version!r}",
                    "Install a cellmark that knows this format, or export the model again.")
        )  # fmt: skip
    try:
        canonical = canonical_json(raw)
    except (ValueError, RecursionError) as error:
        raise _invalid_manifest("numbers that JSON knows", str(error)) from error
    if canonical != data:
        raise _invalid_manifest("canonical JSON, as cellmark writes it", "another byte form of it")
    if raw.get("manifest_digest") != manifest_digest(raw) or raw.get("bundle_digest") != bundle_digest(raw):
        raise BundleError(
            Finding("BUNDLE_DIGEST_MISMATCH", MANIFEST_NAME, "content that matches its own digests",
                    "other content: the manifest was changed", DAMAGED)
        )  # fmt: skip
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
        Finding("BUNDLE_PATH_UNSAFE", name, "a plain file inside the bundle", "a path or link that leads elsewhere",
                "Do not use this bundle; fetch it again from where it came.")
        for name in sorted(set(unsafe))
    ]  # fmt: skip


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
        Finding("BUNDLE_FILE_MISSING", name, "a file of the bundle", "nothing there", DAMAGED)
        for name in sorted({*REQUIRED, *manifest.files})
        if name not in manifest.files or not (root / name).is_file()
    ]


def _unlisted_findings(root: Path, manifest: Manifest) -> list[Finding]:
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}
    return [
        Finding("BUNDLE_FILE_UNLISTED", name, "only files that the manifest lists", "one that it does not",
                "Take the file out of the bundle's folder.")
        for name in sorted(there - {*manifest.files, MANIFEST_NAME})
    ]  # fmt: skip


def _digest_findings(root: Path, manifest: Manifest) -> list[Finding]:
    found = []
    for name, listed in manifest.files.items():
        actual = _entry(root / name)
        if actual != listed:
            text = f"{actual.size} bytes with SHA-256 {actual.sha256[:12]}…"
            expected = f"{listed.size} bytes with SHA-256 {listed.sha256[:12]}…"
            found.append(Finding("BUNDLE_DIGEST_MISMATCH", name, expected, text, DAMAGED))
    return found
