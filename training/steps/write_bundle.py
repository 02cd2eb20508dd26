"""A bundle's files and its manifest, each fact as its owner states it, and how they are written."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cellmark.schemas.atomic_output import whole_folder
from cellmark.schemas.drift.reference_plane import ReferencePlane
from cellmark.schemas.golden_cells import GoldenCells, write_golden
from cellmark.schemas.manifest import bundle_files as files
from cellmark.schemas.manifest.bundle_files import ATTRIBUTION_SHARE, MODEL_CARD, REPORT, draft_manifest, write_manifest
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.marker_spread import MarkerSpread
from cellmark.schemas.manifest.training_summary import TrainingSummary, summarize_training
from cellmark.schemas.manifest.worked_examples import WorkedExamples
from cellmark.schemas.normalization import describe_scale, row_sums
from cellmark.schemas.reference_profile import ReferenceProfile
from cellmark.schemas.report.drawn_examples import drawn_examples
from cellmark.schemas.report.facts import ReportFacts
from cellmark.schemas.report.render import render_model_card, render_report

from ..cells.choose_panel import filter_facts
from ..evaluation.cell_ontology import type_entries
from ..evaluation.levels_section import with_temperatures
from ..export.check_parity import KIND, draw_golden_counts, golden_cells
from .chapters import Chapters
from .describe import code_facts, describe_data, environment_facts, expect, now
from .describe_reference import describe_plane, describe_reference


@dataclass(frozen=True)
class BundleParts:
    """`distilled`: a second, smaller annotator. `cell_map`: held-out cells in two dimensions, as `map_cells` gives
    them. `training`: what the training data looked like; the report shows what these two hold. `reference`: what
    held-out cells looked like, `distilled_reference`: to the second annotator. `spread`: how markers are spread;
    `examples`: real cells. `plane`: where held-out cells lie in a flat view of the embedding. All eight are optional
    files.
    """

    annotator: onnx.ModelProto
    explainer: onnx.ModelProto
    genes: pd.DataFrame
    markers: pd.DataFrame
    expectations: dict[str, Any]
    golden: GoldenCells
    distilled: onnx.ModelProto | None = None
    cell_map: pd.DataFrame | None = None
    training: TrainingSummary | None = None
    reference: ReferenceProfile | None = None
    distilled_reference: ReferenceProfile | None = None
    spread: MarkerSpread | None = None
    examples: WorkedExamples | None = None
    plane: ReferencePlane | None = None


def bundle_parts(run: Chapters) -> BundleParts:
    """The files of a training run."""
    prepared, cells, split = run.prepared, run.prepared.cells, run.prepared.split
    train, x = split.train, prepared.x[split.train]
    drawn = draw_golden_counts(
        prepared.counts[train],
        cells.library_size[train],
        cells.codes[train],
        len(cells.cell_types),
        seed=run.config.seed,
    )
    return BundleParts(
        annotator=run.graphs.annotator,
        explainer=run.graphs.explainer,
        genes=genes_frame(
            gene_symbols=prepared.panel.symbols,
            gene_ids=prepared.gene_ids,
            baselines=run.explained.baselines,
            mean_expression=np.asarray(x.mean(axis=0)).ravel(),
            fraction_expressing=np.asarray((x > 0).mean(axis=0)).ravel(),
            attribution_share=run.explained.shares,
            attribution_share_per_type=run.explained.shares_per_type,
            cell_types=cells.cell_types,
        ),
        markers=run.explained.markers,
        expectations=expect(cells, split, prepared.columns, run.config),
        golden=golden_cells(
            run.fitted.members,
            run.explained.baselines,
            *drawn,
            temperature=run.trust.temperature,
            cell_types=cells.cell_types,
        ),
        distilled=None if run.distilled is None else run.distilled.annotator,
        cell_map=None if run.shown.mapped is None else run.shown.mapped.table,
        training=summarize_training(
            cells.codes,
            cells.donors,
            train=split.train,
            library_size=None if cells.normalised else cells.library_size,
            genes_detected=cells.counts.getnnz(axis=1),
            cell_types=list(cells.cell_types),
        ),
        reference=describe_reference(run.graphs.annotator, run.held_out, run.trust, prepared),
        distilled_reference=None if run.distilled is None else run.distilled.reference,
        spread=run.shown.spread,
        examples=run.shown.examples,
        plane=describe_plane(run.graphs.annotator, prepared, seed=run.config.seed) if run.config.cell_map else None,
    )


def genes_frame(
    *,
    gene_symbols: Sequence[str],
    gene_ids: Sequence[str | None],
    baselines: np.ndarray,
    mean_expression: np.ndarray,
    fraction_expressing: np.ndarray,
    attribution_share: np.ndarray,
    attribution_share_per_type: np.ndarray,
    cell_types: Sequence[str],
) -> pd.DataFrame:
    """`genes.parquet`: one row per panel gene, in the order of the graphs' inputs; [genes] each, and [types, genes]."""
    frame = pd.DataFrame(
        {
            "gene_symbol": pd.array(list(gene_symbols), dtype="string"),
            "gene_id": pd.array([gene_id or pd.NA for gene_id in gene_ids], dtype="string"),
            "baseline": baselines.astype(np.float32),
            "mean_expression": mean_expression,
            "fraction_expressing": fraction_expressing,
            ATTRIBUTION_SHARE: attribution_share,
        }
    )
    per_type = {
        f"{ATTRIBUTION_SHARE}:{name}": share for name, share in zip(cell_types, attribution_share_per_type, strict=True)
    }
    return pd.concat([frame, pd.DataFrame(per_type)], axis=1)


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
            "library_fraction": float(np.median(row_sums(prepared.counts) / prepared.cells.library_size)),
        },
        "normalization": describe_scale(),
        "baseline_kind": run.explained.baseline_kind,
        "network": {**run.fitted.facts(seed=config.seed), "embedding_size": len(components)},
        **trust.sections,
        "novelty": None if trust.novelty is None else {**trust.novelty, **evaluated.left_out},
        "thresholds": None,  # a place that format 1 keeps
        "distilled": None if run.distilled is None else run.distilled.sections,
        "ontology": evaluated.ontology,
        "levels": with_temperatures(prepared.levels, trust.levels.temperatures),
        "evaluation": evaluated.evaluation,
        "metrics": evaluated.metrics,
        "parity": asdict(run.graphs.parity),
        "golden_cells": KIND,
        "imported": None,
    }


MARKERS_CSV = "markers.csv"
CSV_RANKS = 100
"""Ranks of each type in the table for people; the Parquet file has all."""


def write_report(folder: Path, parts: BundleParts, manifest: dict[str, Any]) -> None:
    """Write `report.html` and `MODEL_CARD.md`. `folder`: with all other files; `manifest`: without `files`."""
    plain = json.loads(json.dumps(manifest))  # tuples become lists, as a reader of the finished file would find them
    draft = draft_manifest(folder, plain)
    facts = ReportFacts(
        draft.name,
        draft,
        parts.markers,
        parts.genes,
        parts.cell_map,
        parts.training,
        reference=parts.reference,
        examples=parts.examples
        or drawn_examples(parts.golden, draft.cell_type_names, list(parts.genes["gene_symbol"])),
        spread=parts.spread,
    )
    (folder / REPORT).write_text(render_report(facts), encoding="utf-8", newline="\n")
    (folder / MODEL_CARD).write_text(render_model_card(facts), encoding="utf-8", newline="\n")


def write_bundle(folder: Path, parts: BundleParts, manifest: dict[str, Any], *, force: bool | None = None) -> Manifest:
    """Write all files and seal them. `folder` must not exist, unless with `force`; it appears whole or not at all.
    `manifest`: without `files` and digests.

    Raises `OutputError` when the folder exists or cannot be written.
    """
    with whole_folder(folder, force=force) as draft:
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
        if parts.spread is not None:
            (draft / files.MARKER_SPREAD).write_bytes(parts.spread.to_bytes())
        if parts.examples is not None:
            (draft / files.WORKED_EXAMPLES).write_bytes(parts.examples.to_bytes())
        if parts.distilled_reference is not None:
            (draft / files.DISTILLED_PROFILE).write_bytes(parts.distilled_reference.to_bytes())
        if parts.plane is not None:
            (draft / files.REFERENCE_PLANE).write_bytes(parts.plane.to_bytes())
        write_report(draft, parts, manifest)
        return write_manifest(draft, manifest)
