"""A model that another tool trained becomes a bundle: its graphs, and beside them what its file tells and no more."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cellmark.schemas.genes.gene_panel import GenePanel
from cellmark.schemas.imported_model import CLIP, ImportedModel
from cellmark.schemas.manifest.manifest import Manifest
from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.schemas.normalization import describe_scale
from cellmark.schemas.quality.quality_suites import expectations_without_cells

from ..export.check_parity import KIND, Parity
from ..export.imported_graphs import (
    check_imported,
    draw_cells,
    imported_annotator,
    imported_explainer,
    imported_golden_cells,
)
from .describe import code_facts, environment_facts, now
from .write_bundle import BundleParts, write_bundle

RANKING = "coefficient"
NOT_KNOWN = "not known"
MOST_RANKS, MOST_NEGATIVE = 500, 100
"""Genes of a type in the marker table: those with its largest coefficients, and with its smallest."""


def write_imported_bundle(
    model: ImportedModel,
    folder: Path,
    *,
    name: str,
    organism: str | None = None,
    min_panel_share: float,
    seed: int = 0,
    force: bool = False,
    on_step: Callable[[str], None] = lambda step: None,
) -> Manifest:
    """Write the graphs, prove that they answer as the arrays do, and seal the folder.

    `min_panel_share`: share of the model's genes that an input must have; `seed`: of the golden cells. Raises
    `ExportError` (`PARITY_FAILED`) and what `write_bundle` raises.
    """
    on_step("Writing the graphs")
    annotator, explainer = imported_annotator(model), imported_explainer(model)
    drawn = draw_cells(model, seed=seed)
    on_step("Comparing them with the model")
    parity = check_imported(annotator, explainer, model, *drawn)
    parts = BundleParts(
        annotator=annotator,
        explainer=explainer,
        genes=_genes(model),
        markers=coefficient_markers(model),
        expectations=expectations_without_cells(len(model.gene_symbols), name=name),
        golden=imported_golden_cells(model, *drawn),
    )
    on_step("Writing the bundle")
    manifest = _manifest(model, parity, name=name, organism=organism, min_panel_share=min_panel_share)
    return write_bundle(folder, parts, manifest, force=force)


def _genes(model: ImportedModel) -> pd.DataFrame:
    """`genes.parquet` without what takes cells to know: shares of attribution and of expressing cells."""
    n_genes = len(model.gene_symbols)
    return pd.DataFrame(
        {
            "gene_symbol": pd.array(list(model.gene_symbols), dtype="string"),
            "gene_id": pd.array([pd.NA] * n_genes, dtype="string"),
            "baseline": model.mean.astype(np.float32),
            "mean_expression": model.mean,
            "fraction_expressing": np.full(n_genes, np.nan),
        }
    )


def coefficient_markers(model: ImportedModel) -> pd.DataFrame:
    """The marker table by coefficient, as CellTypist's `extract_top_markers`: the change of a type's logit for one
    standard deviation of a gene. Genes whose coefficient is negative are markers by their absence.
    """
    symbols = np.array(model.gene_symbols, dtype=object)
    tables = []
    for cell_type, weights in zip(model.cell_types, model.weights, strict=True):
        order = np.argsort(-weights, kind="stable")
        rank = np.empty(len(order), dtype=np.int64)
        rank[order] = np.arange(1, len(order) + 1)
        lacking = order[::-1][:MOST_NEGATIVE]
        lacking = lacking[weights[lacking] < 0]
        chosen = np.union1d(order[:MOST_RANKS], lacking)
        negative_rank = pd.Series(np.arange(1, len(lacking) + 1), index=lacking).reindex(chosen)
        tables.append(
            pd.DataFrame(
                {
                    "cell_type": cell_type,
                    "rank": rank[chosen],
                    "gene_symbol": symbols[chosen],
                    "marker_score": weights[chosen],
                    "ranking": RANKING,
                    "negative_rank": negative_rank.astype("Int64").to_numpy(),
                    "direction": np.where(weights[chosen] < 0, "negative", "positive"),
                }
            )
        )
    table = pd.concat(tables, ignore_index=True)
    return marker_table(**{str(column): table[column] for column in table})


def _manifest(
    model: ImportedModel, parity: Parity, *, name: str, organism: str | None, min_panel_share: float
) -> dict[str, Any]:
    n_genes, n_cells = len(model.gene_symbols), model.n_cells or 0
    nothing = {"n_cells": 0, "cells_per_type": {}, "donors": None, "cell_ids_sha256": NOT_KNOWN}
    return {
        "name": name,
        "created": now(),
        "code": code_facts(),
        "environment": environment_facts(),
        "training_data": {
            "digest": NOT_KNOWN,
            "n_cells": n_cells,
            "n_genes": n_genes,
            "cells_per_type": {},
            "library_size_source": "not known: normalised input",
            "counts_from": NOT_KNOWN,
        },
        "split": {
            "strategy": "none",
            "seed": 0,
            "notes": [f"{model.tool} fits on all cells that it is given, and keeps none to test on."],
            "train": {**nothing, "n_cells": n_cells},
            "validation": nothing,
            "test": nothing,
        },
        "organism": organism,
        "n_genes_measured": n_genes,
        "feature_rule": None,  # the tool's library sizes are sums over all features
        "cell_types": [{"name": cell_type} for cell_type in model.cell_types],
        "panel": {
            "n_genes": n_genes,
            "digest": GenePanel(model.gene_symbols).digest,
            "min_share": min_panel_share,
            "filter": {},
        },
        "normalization": describe_scale(),
        "baseline_kind": "mean_of_cells",
        "network": {
            "n_members": 1,
            "hidden_units": [[]],
            "parameters": {"tool": model.tool, "classifier": model.classifier, "clip": CLIP},
            "embedding_size": len(model.cell_types),
        },
        "metrics": {},
        "parity": asdict(parity),
        "golden_cells": KIND,
        "imported": {
            "tool": model.tool,
            "classifier": model.classifier,
            "file_sha256": model.file_sha256,
            "description": dict(model.description),
            "clip": CLIP,
            "centred": model.centred,
        },
    }
