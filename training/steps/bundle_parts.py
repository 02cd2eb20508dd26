"""What the files of a bundle hold, before they are written."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pandas as pd

from cellmark.schemas.golden_cells import GoldenCells
from cellmark.schemas.manifest.bundle_files import ATTRIBUTION_SHARE
from cellmark.schemas.manifest.training_summary import TrainingSummary, summarize_training
from cellmark.schemas.reference_profile import ReferenceProfile

from ..export.draw_golden_cells import draw_golden_counts, golden_cells
from .chapters import Chapters
from .describe import expect
from .describe_reference import describe_reference


@dataclass(frozen=True)
class BundleParts:
    """`distilled`: a second, smaller annotator. `cell_map`: held-out cells in two dimensions, as `map_cells` gives
    them. `training`: what the training data looked like; the report shows what these two hold. `reference`: what
    held-out cells looked like, `distilled_reference`: to the second annotator. All five are optional files.
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
        cell_map=run.cell_map,
        training=summarize_training(
            cells.codes,
            cells.donors,
            train=split.train,
            library_size=cells.library_size,
            genes_detected=cells.counts.getnnz(axis=1),
            cell_types=list(cells.cell_types),
        ),
        reference=describe_reference(run.graphs.annotator, run.held_out, run.trust, prepared),
        distilled_reference=None if run.distilled is None else run.distilled.reference,
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
