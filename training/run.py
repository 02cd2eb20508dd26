"""One training run from labelled cells to a proven bundle, told from top to bottom."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding, LabelError
from cellmark.schemas.gene_panel import GenePanel
from cellmark.schemas.normalization import describe_scale, normalize
from cellmark.schemas.read import open_cells
from cellmark.schemas.training_summary import summarize_training

from .call_measures import measure_calls
from .cell_ontology import CellOntology
from .check_parity import check_parity
from .choose_panel import choose_panel
from .config import TrainingConfig
from .describe import describe_data, expect, frame_of_calls
from .describe_reference import describe_reference
from .distilled_annotator import distill_and_prove
from .draw_golden_cells import draw_golden_counts, golden_cells
from .drop_untrainable import drop_untrainable
from .ensemble import fit_ensemble, variations
from .evaluate import evaluate
from .evaluation_section import evaluation_section
from .explain_training import explain_training
from .export_onnx import annotator_graph, explainer_graph
from .find_markers import PanelGenes
from .fit import predict_logits
from .folded_network import fold
from .gene_gate import mean_gate
from .gene_lists import allowed_markers
from .independent_test import check_independent, evaluate_independent, fit_independent
from .labelled_cells import read_labelled
from .leave_types_out import leave_types_out
from .listener import Listener
from .map_cells import map_cells
from .ontology_section import ontology_section, read_ontology_map, type_entries, unmapped_notes
from .out_of_fold import fit_out_of_fold, plan_folds
from .overlap_section import overlap_section
from .split import split_cells
from .torch_device import torch_device
from .trained_model import TrainedModel
from .tune import tune
from .write_bundle import code_facts, environment_facts, genes_frame, now, write_bundle

__all__ = ["Listener", "TrainedModel", "train"]


def train(config: TrainingConfig, folder: Path, listener: Listener) -> TrainedModel:
    """Train, evaluate, export and prove a model; write its bundle to `folder`, which must not exist.

    Raises `InputError` or `LabelError` for data that cannot be used, `OutputError` when `folder` exists, `ExportError`
    when a graph does not answer as the network does. Nothing is left in `folder` on failure.
    """
    torch_device(config.device)  # better now than after minutes of reading
    refuse_existing(folder, force=False)
    listener.step("Reading cells")
    check_independent(config)
    ontology = CellOntology() if config.ontology is not None else None
    terms = read_ontology_map(config.ontology, ontology) if config.ontology is not None and ontology is not None else {}
    with open_cells(config.data, layer=config.layer, genes_by_cells=config.genes_by_cells) as source:
        cells = read_labelled(
            source,
            label=config.label,
            donor=config.donor,
            library_size=config.library_size,
            min_cells=config.min_cells,
            held_out=config.test_share > 0,
        )

    listener.step("Splitting")
    split = split_cells(
        cells.codes, cells.donors, hold_out=config.hold_out, test_share=config.test_share, seed=config.seed
    )
    cells, split = drop_untrainable(cells, split)
    for finding in (*cells.notes, *(unmapped_notes(cells.cell_types, terms) if terms else ())):
        listener.note(finding)
    listener.data(cells, split)

    listener.step("Choosing the gene panel")
    n_types = len(cells.cell_types)
    in_training = cells.counts[split.train], cells.library_size[split.train], cells.codes[split.train]
    columns = choose_panel(
        in_training[0], in_training[1], normalize(*in_training[:2]), in_training[2], max_genes=config.max_genes
    )
    if len(columns) < 2:
        raise LabelError(
            Finding("PANEL_EMPTY", "data", "genes that at least one type expresses", f"{len(columns)} genes",
                    "Check that the counts are raw and that the labels belong to the cells.")
        )  # fmt: skip
    panel = GenePanel(tuple(np.array(cells.gene_symbols)[columns]))
    gene_ids = tuple(np.array(cells.gene_ids, dtype=object)[columns])
    for finding in fit_independent(config, cells, panel):
        listener.note(finding)
    allowed = allowed_markers(panel.symbols, gene_ids, config.markers, on_finding=listener.note)
    counts = cells.counts[:, columns]
    counts.sort_indices()
    x = normalize(counts, cells.library_size)

    settings, tuned = config.fit, None
    if config.tune.n_trials:
        listener.step("Searching for settings")
        tuned = tune(
            x,
            cells.codes,
            train=split.train,
            validation=split.validation,
            n_types=n_types,
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
        x,
        cells.codes,
        train=split.train,
        validation=split.validation,
        n_types=n_types,
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
    seen = np.sort(np.concatenate([split.train, split.validation]))
    held_out = fit_out_of_fold(
        x,
        cells.codes,
        plan_folds(cells.codes, cells.donors, seen, seed=config.seed),
        n_types=n_types,
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
        PanelGenes(panel.symbols, gene_ids, allowed, mean_gate(fitted.classifiers)),
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
            fitted.classifiers, x, counts, cells, split, held_out, columns=columns,
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
    drawn = draw_golden_counts(counts[split.train], in_training[1], train_codes, n_types, seed=config.seed)
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
            gene_ids=gene_ids,
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
            "cell_types": type_entries(cells.cell_types, terms, ontology),
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
            if ontology is None
            else ontology_section(held_out, cells.codes, cells.cell_types, terms, ontology),
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
