"""The manifest of a training run: each fact as its owner states it, here put in one place."""

from dataclasses import asdict
from typing import Any

from cellmark.schemas.normalization import describe_scale

from ..cells.choose_panel import filter_facts
from ..evaluation.cell_ontology import type_entries
from ..export.draw_golden_cells import KIND
from .chapters import Chapters
from .describe import describe_data
from .provenance import code_facts, environment_facts, now


def assemble_manifest(run: Chapters) -> dict[str, Any]:
    """All fields of `Manifest` but those that sealing fills in: `format_version`, `files` and the digests."""
    config, prepared, trust, evaluated = run.config, run.prepared, run.trust, run.evaluated
    _, components = trust.embedding
    return {
        "name": config.name,
        "created": now(),
        "code": code_facts(),
        "environment": environment_facts(),
        **describe_data(prepared.cells, prepared.split),
        "cell_types": type_entries(prepared.cells.cell_types, prepared.terms, prepared.ontology),
        "panel": {
            "n_genes": len(prepared.panel),
            "digest": prepared.panel.digest,
            "min_share": config.min_panel_share,
            "filter": filter_facts(config.max_genes),
            "overlap": evaluated.overlap,
        },
        "normalization": describe_scale(),
        "baseline_kind": run.explained.baseline_kind,
        "network": {**run.fitted.facts(seed=config.seed), "embedding_size": len(components)},
        **trust.sections,
        "novelty": None if trust.novelty is None else {**trust.novelty, **evaluated.left_out},
        "thresholds": None,  # a place that format 1 keeps
        "distilled": None if run.distilled is None else run.distilled.sections,
        "ontology": evaluated.ontology,
        "evaluation": evaluated.evaluation,
        "metrics": evaluated.metrics,
        "parity": asdict(run.graphs.parity),
        "golden_cells": KIND,
    }
