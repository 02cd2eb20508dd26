"""A trained, proven model becomes a folder: every file of format 1, then the manifest that seals them."""

import json
from pathlib import Path
from typing import Any

from cellmark.schemas.atomic_output import whole_folder
from cellmark.schemas.golden_cells import write_golden
from cellmark.schemas.manifest import bundle_files as files
from cellmark.schemas.manifest.bundle_files import MODEL_CARD, REPORT, draft_manifest, write_manifest
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.report.facts import ReportFacts
from cellmark.schemas.report.render import render_model_card, render_report

from .bundle_parts import BundleParts

MARKERS_CSV = "markers.csv"
CSV_RANKS = 100
"""Ranks of each type in the table for people; the Parquet file has all."""


def write_report(folder: Path, parts: BundleParts, manifest: dict[str, Any]) -> None:
    """Write `report.html` and `MODEL_CARD.md`. `folder`: with all other files; `manifest`: without `files`."""
    plain = json.loads(json.dumps(manifest))  # tuples become lists, as a reader of the finished file would find them
    draft = draft_manifest(folder, plain)
    facts = ReportFacts(
        draft.name, draft, parts.markers, parts.genes, parts.cell_map, parts.training, reference=parts.reference
    )
    (folder / REPORT).write_text(render_report(facts), encoding="utf-8", newline="\n")
    (folder / MODEL_CARD).write_text(render_model_card(facts), encoding="utf-8", newline="\n")


def write_bundle(folder: Path, parts: BundleParts, manifest: dict[str, Any]) -> Manifest:
    """Write all files and seal them. `folder` must not exist; it appears whole or not at all. `manifest`: without
    `files` and digests.

    Raises `OutputError` when the folder exists or cannot be written.
    """
    with whole_folder(folder) as draft:
        (draft / files.ANNOTATOR).write_bytes(parts.annotator.SerializeToString(deterministic=True))
        (draft / files.EXPLAINER).write_bytes(parts.explainer.SerializeToString(deterministic=True))
        if parts.distilled is not None:
            (draft / files.DISTILLED).write_bytes(parts.distilled.SerializeToString(deterministic=True))
        parts.genes.to_parquet(draft / files.GENES, index=False, compression="zstd")
        parts.markers.to_parquet(draft / files.MARKERS, index=False, compression="zstd")
        best = parts.markers[parts.markers["rank"] <= CSV_RANKS].dropna(axis="columns", how="all")
        best.to_csv(draft / MARKERS_CSV, index=False, float_format="%.6g", lineterminator="\n")
        text = json.dumps(parts.expectations, indent=1, sort_keys=True, ensure_ascii=False)
        (draft / files.EXPECTATIONS).write_text(text + "\n", encoding="utf-8")
        write_golden(draft / files.GOLDEN_CELLS, parts.golden)
        if parts.cell_map is not None:
            parts.cell_map.to_parquet(draft / files.CELL_MAP, index=False, compression="zstd")
        if parts.training is not None:
            (draft / files.TRAINING_SUMMARY).write_bytes(parts.training.to_bytes())
        if parts.reference is not None:
            (draft / files.REFERENCE_PROFILE).write_bytes(parts.reference.to_bytes())
        if parts.distilled_reference is not None:
            (draft / files.DISTILLED_PROFILE).write_bytes(parts.distilled_reference.to_bytes())
        write_report(draft, parts, manifest)
        return write_manifest(draft, manifest)
