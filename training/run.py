"""One training run from labelled cells to a proven bundle, told from top to bottom."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.training_summary import summarize_training
from cellmark.schemas.normalization import describe_scale

from .config import TrainingConfig
from .evaluation.evaluate import evaluate
from .evaluation.evaluation_section import evaluation_section
from .evaluation.ontology_section import ontology_section, type_entries
from .evaluation.out_of_fold import fit_out_of_fold, plan_folds
from .evaluation.overlap_section import overlap_section
from .export.check_parity import check_parity
from .export.draw_golden_cells import draw_golden_counts, golden_cells
from .export.export_onnx import annotator_graph, explainer_graph
from .listener import Listener
from .markers.find_markers import PanelGenes
from .network.ensemble import fit_ensemble, variations
from .network.fit import predict_logits
from .network.folded_network import fold
from .network.gene_gate import mean_gate
from .network.torch_device import torch_device
from .steps.call_measures import measure_calls
from .steps.describe import describe_data, expect, frame_of_calls
from .steps.describe_reference import describe_reference
from .steps.distilled_annotator import distill_and_prove
from .steps.evaluate_independent import evaluate_independent
from .steps.explain_training import explain_training
from .steps.leave_types_out import leave_types_out
from .steps.map_cells import map_cells
from .steps.training_cells import prepare_training_cells
from .steps.write_bundle import code_facts, environment_facts, genes_frame, now, write_bundle
from .trained_model import TrainedModel
from .tuning.tune import tune

__all__ = ["Listener", "TrainedModel", "train"]


def train(config: TrainingConfig, folder: Path, listener: Listener) -> TrainedModel:
    """Train, evaluate, export and prove a model; write its bundle to `folder`, which must not exist.

    Raises `InputError` or `LabelError` for data that cannot be used, `OutputError` when `folder` exists, `ExportError`
    when a graph does not answer as the network does. Nothing is left in `folder` on failure.
    """
    torch_device(config.device)  # better now than after minutes of reading
    refuse_existing(folder, force=False)
    prepared = prepare_training_cells(config, listener)
    cells, split, panel, columns = prepared.cells, prepared.split, prepared.panel, prepared.columns
    counts, x, data = prepared.counts, prepared.x, prepared.data

    settings, tuned = config.fit, None
    if config.tune.n_trials:
        listener.step("Searching for settings")
        tuned = tune(
            data,
            base=config.fit,
            settings=config.tune,
            seed=config.seed,
            device=config.device,
            name=config.name,
            listener=listener,
        )
        settings = tuned.settings

    listener.step("Fitting the networks")
    fitted = fit_ensemble(
        data,
        members=variations(settings, n_members=config.n_members),
        seed=config.seed,
        device=config.device,
        on_epoch=listener.epoch,
    )

    listener.step("Evaluating")
    member_logits = [predict_logits(classifier, x) for classifier in fitted.classifiers]
    calls = torch.stack(member_logits).mean(dim=0).softmax(dim=1).numpy()
    metrics: dict[str, Any] = {
        "validation": evaluate(cells.codes[split.validation], calls[split.validation].argmax(1), cells.cell_types),
        "test": evaluate(cells.codes[split.test], calls[split.test].argmax(1), cells.cell_types),
    }

    listener.step("Holding cells out in turn")
    held_out = fit_out_of_fold(
        data,
        plan_folds(cells.codes, cells.donors, data.seen, seed=config.seed),
        members=variations(settings, n_members=config.n_members),
        seed=config.seed,
        device=config.device,
        min_cells=config.min_cells,
    )
    trust = measure_calls(held_out, fitted.classifiers, x, cells, split)
    calls, temperature = trust.probabilities, trust.temperature
    novelty_score, (embedding_mean, components) = trust.novelty_score

    listener.step("Explaining cells and ranking markers")
    members = [fold(classifier) for classifier in fitted.classifiers]
    explained = explain_training(
        members,
        x,
        cells,
        split,
        PanelGenes(panel.symbols, prepared.gene_ids, prepared.allowed, mean_gate(fitted.classifiers)),
        columns=columns,
        calls=calls.argmax(1),
        member_calls=np.stack([logits.argmax(dim=1).numpy() for logits in member_logits]),
        config=config,
    )
    baselines = explained.baselines

    listener.step("Exporting and proving the graphs")
    train_x, train_codes = x[split.train], cells.codes[split.train]
    annotator = annotator_graph(
        members, baselines, temperature=temperature, embedding_mean=embedding_mean, embedding_components=components,
        novelty=novelty_score,
    )  # fmt: skip
    explainer = explainer_graph(members, baselines)
    checked_cells = np.concatenate([split.test, split.validation, split.train])
    parity = check_parity(
        annotator,
        explainer,
        fitted.classifiers,
        counts[checked_cells],
        cells.library_size[checked_cells],
        baselines=baselines,
        temperature=temperature,
        novelty=(novelty_score, embedding_mean, components),
    )
    distilled = of_distilled = distilled_reference = None
    if config.distill:
        listener.step("Distilling one network")
        distilled, metrics["distilled"], of_distilled, distilled_reference = distill_and_prove(
            fitted.classifiers, data, counts, cells, split, held_out, columns=columns,
            baselines=baselines, settings=settings, config=config,
        )  # fmt: skip
    if config.test_data is not None:
        listener.step("Evaluating on the independent file")
        metrics["independent"] = evaluate_independent(config, cells, panel, annotator)

    if trust.novelty is not None:
        trust.novelty.update(
            leave_types_out(
                config, cells, held_out.plan, members=variations(settings, n_members=config.n_members),
                listener=listener,
            )
        )  # fmt: skip
    listener.step("Evaluating on poorer input")
    evaluation = evaluation_section(
        x,
        cells.codes,
        cells.cell_types,
        split,
        held_out,
        donors=cells.donors,
        probabilities=calls,
        classifiers=fitted.classifiers,
        baselines=baselines,
        level=config.evaluate,
        seed=config.seed,
    )
    overlap = overlap_section(
        x,
        cells.codes,
        held_out,
        baselines=baselines,
        shares=explained.shares,
        shares_per_type=explained.shares_per_type,
        seed=config.seed,
    )
    drawn = draw_golden_counts(
        counts[split.train], cells.library_size[split.train], train_codes, data.n_types, seed=config.seed
    )
    golden = golden_cells(members, baselines, *drawn, temperature=temperature)

    cell_map = None
    if config.cell_map:
        listener.step("Placing held-out cells in the plane")
        part = "test" if len(split.test) else "validation"
        mapped = getattr(split, part)
        cell_map = map_cells(
            annotator, counts[mapped], cells.library_size[mapped], cells.codes[mapped],
            cell_types=list(cells.cell_types), part=part, seed=config.seed,
        )  # fmt: skip

    listener.step("Writing the bundle")
    manifest = write_bundle(
        folder,
        annotator=annotator,
        explainer=explainer,
        distilled=distilled,
        genes=genes_frame(
            gene_symbols=panel.symbols,
            gene_ids=prepared.gene_ids,
            baselines=baselines,
            mean_expression=np.asarray(train_x.mean(axis=0)).ravel(),
            fraction_expressing=np.asarray((train_x > 0).mean(axis=0)).ravel(),
            attribution_share=explained.shares,
            attribution_share_per_type=explained.shares_per_type,
            cell_types=cells.cell_types,
        ),
        markers=explained.markers,
        expectations=expect(cells, split, columns, config),
        golden=golden,
        cell_map=cell_map,
        reference=describe_reference(annotator, held_out, trust, cells, split, columns),
        distilled_reference=distilled_reference,
        training=summarize_training(
            cells.codes,
            cells.donors,
            train=split.train,
            library_size=cells.library_size,
            genes_detected=cells.counts.getnnz(axis=1),
            cell_types=list(cells.cell_types),
        ),
        manifest={
            **describe_data(cells, split),
            "name": config.name,
            "created": now(),
            "code": code_facts(),
            "environment": environment_facts(),
            "cell_types": type_entries(cells.cell_types, prepared.terms, prepared.ontology),
            "panel": {
                "n_genes": len(panel),
                "digest": panel.digest,
                "min_share": config.min_panel_share,
                "filter": {"threshold": 0.01, "percentile": 80.0, "max_genes": config.max_genes},
                "overlap": overlap,
            },
            "normalization": describe_scale(),
            "baseline_kind": explained.baseline_kind,
            "network": {
                "n_members": len(members),
                "hidden_units": [member.hidden_units for member in members],
                "parameters": {**asdict(settings), "seed": config.seed, "best_epoch": fitted.best_epoch},
                "embedding_size": len(components),
            },
            "temperature": temperature,
            "thresholds": None,
            "calibration": trust.calibration,
            "novelty": trust.novelty,
            "label_sets": trust.label_sets,
            "distilled": of_distilled,
            "ontology": None
            if prepared.ontology is None
            else ontology_section(held_out, cells.codes, cells.cell_types, prepared.terms, prepared.ontology),
            "evaluation": evaluation,
            "metrics": metrics,
            "parity": asdict(parity),
            "golden_cells": "drawn",
        },
    )
    return TrainedModel(
        Bundle.open(folder),
        manifest,
        cells,
        split,
        fitted,
        parity,
        frame_of_calls(cells, split.test, calls),
        calls.argmax(1),
        tuple(members),
        (embedding_mean, components),
        tuned,
    )
