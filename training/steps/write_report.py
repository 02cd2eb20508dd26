"""The two texts for people, written into a bundle before it is sealed: they tell of every other file in it."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from cellmark.schemas.bundle import MODEL_CARD, REPORT, draft_manifest
from cellmark.schemas.manifest.training_summary import TrainingSummary
from cellmark.schemas.reference_profile import ReferenceProfile
from cellmark.schemas.report.facts import ReportFacts
from cellmark.schemas.report.model_card import render_model_card
from cellmark.schemas.report.render import render_report


def write_report(
    folder: Path,
    *,
    manifest: dict[str, Any],
    markers: pd.DataFrame,
    genes: pd.DataFrame,
    cell_map: pd.DataFrame | None,
    training: TrainingSummary | None,
    reference: ReferenceProfile | None = None,
) -> None:
    """Write `report.html` and `MODEL_CARD.md`. `folder`: with all other files; `manifest`: without `files`."""
    plain = json.loads(json.dumps(manifest))  # tuples become lists, as a reader of the finished file would find them
    draft = draft_manifest(folder, plain)
    facts = ReportFacts(draft.name, draft, markers, genes, cell_map, training, reference=reference)
    (folder / REPORT).write_text(render_report(facts), encoding="utf-8", newline="\n")
    (folder / MODEL_CARD).write_text(render_model_card(facts), encoding="utf-8", newline="\n")
