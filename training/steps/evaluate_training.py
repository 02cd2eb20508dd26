"""How well the registered networks do: on each part, on an independent file, on unknown types and poorer input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..evaluation.cell_ontology import ontology_section
from ..evaluation.evaluate import evaluate
from ..evaluation.evaluation_section import evaluation_section
from ..evaluation.label_audit import LabelAudit, audit_labels
from ..evaluation.left_out_types import TypesOut, left_out_types, some_left_out
from ..evaluation.out_of_fold import FoldPlan, OutOfFold
from ..evaluation.overlap import overlap_section
from ..listener import Listener
from ..network.fit_settings import FitSettings
from .distilled_annotator import Distilled, Graphs
from .evaluate_independent import evaluate_independent
from .explain_training import Explained
from .fitted_networks import CallMeasures, FittedNetworks
from .training_cells import TrainingCells


def leave_types_out(
    config: TrainingConfig,
    cells: LabelledCells,
    plan: FoldPlan,
    *,
    members: Sequence[FitSettings],
    listener: Listener,
) -> dict[str, Any]:
    """The fields `left_out` and `left_out_level` of `NoveltyEntry`. `plan`: the folds of the registered model."""
    given = TypesOut(
        cells.counts,
        cells.library_size,
        cells.codes,
        cells.donors,
        cells.cell_types,
        members,
        config.max_genes,
        config.seed,
        config.device,
    )
    if config.evaluate == "full":
        rows = left_out_types(given, plan, on_step=lambda name: listener.step(f"Leaving out {name}"))
    else:
        listener.step("Leaving some types out")
        rows = some_left_out(given, plan)
    return {"left_out": [{"together": [], **row} for row in rows], "left_out_level": config.evaluate if rows else None}


@dataclass(frozen=True)
class Evaluated:
    """Sections of the manifest. `metrics`: by part. `left_out`: what `NoveltyEntry` says of unknown types; empty where
    no fold could be judged. `overlap`: of `PanelEntry`. `label_doubts`: doubtful cells, see `LabelAudit`.
    """

    metrics: dict[str, Any]
    left_out: dict[str, Any]
    evaluation: dict[str, Any]
    overlap: dict[str, Any] | None
    ontology: dict[str, Any] | None
    label_doubts: pd.DataFrame


def evaluate_training(
    config: TrainingConfig,
    prepared: TrainingCells,
    fitted: FittedNetworks,
    held_out: OutOfFold,
    *,
    trust: CallMeasures,
    explained: Explained,
    graphs: Graphs,
    distilled: Distilled | None,
    listener: Listener,
) -> Evaluated:
    """Measure what was trained; nothing here changes it."""
    listener.step("Evaluating")
    cells, split = prepared.cells, prepared.split
    metrics: dict[str, Any] = {
        "validation": _on_validation_cells(prepared, fitted, held_out, trust),
        "test": evaluate(cells.codes[split.test], trust.calls[split.test], cells.cell_types),
    }
    if distilled is not None:
        metrics["distilled"] = distilled.measures
    if config.test_data is not None:
        listener.step("Evaluating on the independent file")
        metrics["independent"] = evaluate_independent(
            config, cells, prepared.panel, graphs.annotator, types_below=prepared.types_below
        )
    left_out = {}
    if trust.novelty is not None:
        left_out = leave_types_out(config, cells, held_out.plan, members=fitted.variations, listener=listener)
    listener.step("Evaluating on poorer input")
    evaluation = evaluation_section(
        prepared.x,
        cells.codes,
        cells.cell_types,
        split,
        held_out,
        donors=cells.donors,
        probabilities=trust.probabilities,
        classifiers=fitted.classifiers,
        learned=fitted.learned,
        fill=prepared.fill,
        level=config.evaluate,
        normalised=cells.normalised,
        seed=config.seed,
    )
    audit = _audit_labels(prepared, held_out, trust, explained)
    evaluation["label_audit"] = audit.section(cells.codes, cells.cell_types)
    evaluation["levels"] = trust.levels.scores
    overlap = overlap_section(
        prepared.x,
        cells.codes,
        held_out,
        fill=prepared.fill,
        shares=explained.shares,
        shares_per_type=explained.shares_per_type,
        seed=config.seed,
    )
    ontology = None
    if prepared.ontology is not None:
        ontology = ontology_section(held_out, cells.codes, cells.cell_types, prepared.terms, prepared.ontology)
    doubts = audit.table(cells.codes, cells.cell_types, cells.cell_ids, cells.donors)
    return Evaluated(metrics, left_out, evaluation, overlap, ontology, doubts)


def _on_validation_cells(
    prepared: TrainingCells, fitted: FittedNetworks, held_out: OutOfFold, trust: CallMeasures
) -> dict[str, Any]:
    """By the registered networks, or, where these learned them, by those of the folds that never saw them."""
    rows, calls = prepared.split.validation, trust.calls
    if np.isin(rows, fitted.learned).any():
        rows, calls = np.intersect1d(rows, held_out.judged(prepared.cells.codes)), held_out.logits.argmax(axis=1)
    return evaluate(prepared.cells.codes[rows], calls[rows], prepared.cells.cell_types)


def _audit_labels(
    prepared: TrainingCells, held_out: OutOfFold, trust: CallMeasures, explained: Explained
) -> LabelAudit:
    """All cells of which there are calls by networks that never saw them: of the folds, and of the test part."""
    codes, test = prepared.cells.codes, prepared.split.test
    folds = held_out.judged(codes)
    of_folds = softmax(held_out.logits[folds] / np.float32(trust.temperature), axis=1)
    column = {symbol: number for number, symbol in enumerate(prepared.panel.symbols)}
    ranked = explained.markers[explained.markers["rank"].notna() & (explained.markers["direction"] != "negative")]
    by_type = {str(name): rows.sort_values("rank") for name, rows in ranked.groupby("cell_type", observed=True)}
    return audit_labels(
        prepared.x,
        codes,
        judged=np.concatenate([folds, test]),
        probabilities=np.concatenate([of_folds, trust.probabilities[test]]),
        markers=[
            np.array([column[symbol] for symbol in by_type[name]["gene_symbol"]] if name in by_type else [], dtype=int)
            for name in prepared.cells.cell_types
        ],
    )
