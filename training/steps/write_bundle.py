"""A trained, proven model becomes a folder: every file of format 1, then the manifest that seals them."""

import importlib.metadata
import json
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cellmark.schemas import bundle as files
from cellmark.schemas.atomic_output import whole_folder
from cellmark.schemas.golden_cells import GoldenCells, write_golden
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.training_summary import TrainingSummary
from cellmark.schemas.reference_profile import ReferenceProfile

from .write_report import write_report

ENVIRONMENT = ("cellmark", "torch", "onnx", "onnxruntime", "numpy", "scipy", "pandas", "anndata")
MARKERS_CSV = "markers.csv"
CSV_RANKS = 100
"""Ranks of each type in the table for people; the Parquet file has all."""


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
            files.ATTRIBUTION_SHARE: attribution_share,
        }
    )
    per_type = {
        f"{files.ATTRIBUTION_SHARE}:{name}": share
        for name, share in zip(cell_types, attribution_share_per_type, strict=True)
    }
    return pd.concat([frame, pd.DataFrame(per_type)], axis=1)


def write_bundle(
    folder: Path,
    *,
    annotator: onnx.ModelProto,
    explainer: onnx.ModelProto,
    genes: pd.DataFrame,
    markers: pd.DataFrame,
    expectations: dict[str, Any],
    golden: GoldenCells,
    manifest: dict[str, Any],
    distilled: onnx.ModelProto | None = None,
    cell_map: pd.DataFrame | None = None,
    training: TrainingSummary | None = None,
    reference: ReferenceProfile | None = None,
    distilled_reference: ReferenceProfile | None = None,
) -> Manifest:
    """Write all files and seal them. `folder` must not exist; it appears whole or not at all.

    `distilled`: a second, smaller annotator. `cell_map`: held-out cells in the plane, as `map_cells` gives them.
    `training`: what the training data looked like; the report tells what these two hold. `reference`: what held-out
    cells looked like, `distilled_reference`: to the second annotator. All five are optional files.

    Raises `OutputError` when it exists or cannot be written.
    """
    with whole_folder(folder) as draft:
        (draft / files.ANNOTATOR).write_bytes(annotator.SerializeToString(deterministic=True))
        (draft / files.EXPLAINER).write_bytes(explainer.SerializeToString(deterministic=True))
        if distilled is not None:
            (draft / files.DISTILLED).write_bytes(distilled.SerializeToString(deterministic=True))
        genes.to_parquet(draft / files.GENES, index=False, compression="zstd")
        markers.to_parquet(draft / files.MARKERS, index=False, compression="zstd")
        best = markers[markers["rank"] <= CSV_RANKS].dropna(axis="columns", how="all")
        best.to_csv(draft / MARKERS_CSV, index=False, float_format="%.6g", lineterminator="\n")
        text = json.dumps(expectations, indent=1, sort_keys=True, ensure_ascii=False)
        (draft / files.EXPECTATIONS).write_text(text + "\n", encoding="utf-8")
        write_golden(draft / files.GOLDEN_CELLS, golden)
        if cell_map is not None:
            cell_map.to_parquet(draft / files.CELL_MAP, index=False, compression="zstd")
        if training is not None:
            (draft / files.TRAINING_SUMMARY).write_bytes(training.to_bytes())
        if reference is not None:
            (draft / files.REFERENCE_PROFILE).write_bytes(reference.to_bytes())
        if distilled_reference is not None:
            (draft / files.DISTILLED_PROFILE).write_bytes(distilled_reference.to_bytes())
        write_report(
            draft, manifest=manifest, markers=markers, genes=genes, cell_map=cell_map, training=training,
            reference=reference,
        )  # fmt: skip
        return files.write_manifest(draft, manifest)


def code_facts() -> dict[str, str | None]:
    """Version of cellmark, and the commit of the checkout that it runs from, where it runs from one."""
    checkout = Path(__file__).resolve().parents[2]
    return {"version": importlib.metadata.version("cellmark"), "commit": _commit_of(checkout)}


def _commit_of(checkout: Path) -> str | None:
    if not (checkout / ".git").exists():
        return None
    try:
        asked = subprocess.run(  # noqa: S603
            ["git", "-C", str(checkout), "rev-parse", "HEAD"],  # noqa: S607
            capture_output=True, text=True, check=False, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        # A machine without git, or with a hanging one: the commit is a courtesy, no reason to lose the model.
        return None
    return asked.stdout.strip() if asked.returncode == 0 else None


def environment_facts() -> dict[str, str]:
    """Python, platform and the versions of what shaped the model; no host names, no paths."""
    facts = {"python": platform.python_version(), "platform": f"{platform.system()}-{platform.machine()}"}
    for name in ENVIRONMENT:
        try:
            facts[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return facts


def now() -> str:
    """The date of a manifest: UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
