"""The two texts for people, written into a bundle before it is sealed: they tell of every other file in it."""

import json
from pathlib import Path
from typing import Any

from cellmark.schemas.manifest.bundle_files import MODEL_CARD, REPORT
from cellmark.schemas.manifest.seal_bundle import draft_manifest
from cellmark.schemas.report.facts import ReportFacts
from cellmark.schemas.report.model_card import render_model_card
from cellmark.schemas.report.render import render_report

from .bundle_parts import BundleParts


def write_report(folder: Path, parts: BundleParts, manifest: dict[str, Any]) -> None:
    """Write `report.html` and `MODEL_CARD.md`. `folder`: with all other files; `manifest`: without `files`."""
    plain = json.loads(json.dumps(manifest))  # tuples become lists, as a reader of the finished file would find them
    draft = draft_manifest(folder, plain)
    facts = ReportFacts(
        draft.name, draft, parts.markers, parts.genes, parts.cell_map, parts.training, reference=parts.reference
    )
    (folder / REPORT).write_text(render_report(facts), encoding="utf-8", newline="\n")
    (folder / MODEL_CARD).write_text(render_model_card(facts), encoding="utf-8", newline="\n")
