"""One training run from labelled cells to a proven bundle, told from top to bottom."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pandas as pd

from cellmark.schemas.atomic_output import refuse_existing
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding, LabelError
from cellmark.schemas.gene_panel import GenePanel
from cellmark.schemas.manifest import Manifest
from cellmark.schemas.normalization import describe_scale, normalize
from cellmark.schemas.read import open_cells

from .check_parity import Parity, check_parity
from .choose_panel import choose_panel
from .config import TrainingConfig
from .contributions import attribution_shares, mean_of_types, type_means
from .describe import describe_data, expect, frame_of_calls
from .draw_golden_cells import draw_golden_counts, golden_cells
from .drop_untrainable import drop_untrainable
from .embedding import fit_embedding
from .ensemble import FittedEnsemble, fit_ensemble, predict_probabilities, variations
from .evaluate import evaluate
from .export_onnx import annotator_graph, explainer_graph
from .first_markers import expression_in_and_out, first_markers
from .fit import Epoch
from .folded_network import fold
from .independent_test import check_independent, evaluate_independent
from .labelled_cells import LabelledCells, read_labelled
from .split import Split, split_cells
from .torch_device import torch_device
from .trial import Trial
from .tune import Tuned, tune
from .write_bundle import code_facts, environment_facts, genes_frame, now, write_bundle


class Listener(Protocol):
    """Who hears of a run while it happens: a progress bar, a tracker."""

    def step(self, name: str) -> None:
        """A step begins; `name` is for people."""

    def note(self, finding: Finding) -> None:
        """Something about the input that people should know."""

    def data(self, cells: LabelledCells, split: Split) -> None:
        """The data were read, checked and divided."""

    def trial(self, trial: Trial) -> None:
        """A try of the search for settings has ended."""

    def epoch(self, epoch: Epoch) -> None:
        """The network saw all training cells once more."""


@dataclass(frozen=True)
class TrainedModel:
    """What a run made. `test_calls`: cell id, label, call and confidence of each test cell. `tuned`: what the search
    for settings gave, None without one.
    """

    bundle: Bundle
    manifest: Manifest
    cells: LabelledCells
    split: Split
    fitted: FittedEnsemble
    parity: Parity
    test_calls: pd.DataFrame
    tuned: Tuned | None = None


def train(config: TrainingConfig, folder: Path, listener: Listener) -> TrainedModel:
    """Train, evaluate, export and prove a model; write its bundle to `folder`, which must not exist.

    Raises `InputError` or `LabelError` for data that cannot be used, `OutputError` when `folder` exists, `ExportError`
    when a graph does not answer as the network does. Nothing is left in `folder` on failure.
    """
    torch_device(config.device)  # better now than after minutes of reading
    refuse_existing(folder, force=False)
    listener.step("Reading cells")
    check_independent(config)
    with open_cells(config.data, layer=config.layer, genes_by_cells=config.genes_by_cells) as source:
        cells = read_labelled(
            source,
            label=config.label,
            donor=config.donor,
            library_size=config.library_size,
            min_cells=config.min_cells,
        )

    listener.step("Splitting")
    split = split_cells(
        cells.codes, cells.donors, hold_out=config.hold_out, test_share=config.test_share, seed=config.seed
    )
    cells, split = drop_untrainable(cells, split)
    for finding in cells.notes:
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
    calls = predict_probabilities(fitted.classifiers, x)
    metrics: dict[str, Any] = {
        "validation": evaluate(cells.codes[split.validation], calls[split.validation].argmax(1), cells.cell_types),
        "test": evaluate(cells.codes[split.test], calls[split.test].argmax(1), cells.cell_types),
    }

    listener.step("Explaining training cells")
    members = [fold(classifier) for classifier in fitted.classifiers]
    train_x, train_codes = x[split.train], cells.codes[split.train]
    baselines = mean_of_types(train_x, train_codes, n_types)
    means = type_means(members, train_x, baselines, train_codes, calls[split.train].argmax(1))
    shares, shares_per_type = attribution_shares(means)
    expression = expression_in_and_out(train_x, train_codes, n_types)
    gene_ids = tuple(np.array(cells.gene_ids, dtype=object)[columns])
    markers = first_markers(
        means, expression, cell_types=cells.cell_types, gene_symbols=panel.symbols, gene_ids=gene_ids
    )

    listener.step("Exporting and proving the graphs")
    embedding_mean, components = fit_embedding(members, train_x)
    annotator = annotator_graph(members, baselines, embedding_mean=embedding_mean, embedding_components=components)
    explainer = explainer_graph(members, baselines)
    checked_cells = np.concatenate([split.test, split.validation, split.train])
    parity = check_parity(
        annotator,
        explainer,
        fitted.classifiers,
        counts[checked_cells],
        cells.library_size[checked_cells],
        baselines=baselines,
    )
    if config.test_data is not None:
        listener.step("Evaluating on the independent file")
        metrics["independent"] = evaluate_independent(config, cells, panel, annotator)
    drawn = draw_golden_counts(counts[split.train], in_training[1], train_codes, n_types, seed=config.seed)
    golden = golden_cells(members, baselines, *drawn, temperature=1.0)

    listener.step("Writing the bundle")
    manifest = write_bundle(
        folder,
        annotator=annotator,
        explainer=explainer,
        genes=genes_frame(
            gene_symbols=panel.symbols,
            gene_ids=gene_ids,
            baselines=baselines,
            mean_expression=np.asarray(train_x.mean(axis=0)).ravel(),
            fraction_expressing=np.asarray((train_x > 0).mean(axis=0)).ravel(),
            attribution_share=shares,
            attribution_share_per_type=shares_per_type,
            cell_types=cells.cell_types,
        ),
        markers=markers,
        expectations=expect(cells, split, columns, config),
        golden=golden,
        manifest={
            **describe_data(cells, split),
            "name": config.name,
            "created": now(),
            "code": code_facts(),
            "environment": environment_facts(),
            "cell_types": [{"name": name, "ontology_id": None, "ancestors": None} for name in cells.cell_types],
            "panel": {
                "n_genes": len(panel),
                "digest": panel.digest,
                "min_share": config.min_panel_share,
                "filter": {"threshold": 0.01, "percentile": 80.0, "max_genes": config.max_genes},
            },
            "normalization": describe_scale(),
            "baseline_kind": "mean_of_types",
            "network": {
                "n_members": len(members),
                "hidden_units": [member.hidden_units for member in members],
                "parameters": {**asdict(settings), "seed": config.seed, "best_epoch": fitted.best_epoch},
                "embedding_size": len(components),
            },
            "temperature": 1.0,
            "thresholds": None,
            "metrics": metrics,
            "parity": asdict(parity),
            "golden_cells": "drawn",
        },
    )
    return TrainedModel(
        Bundle.open(folder), manifest, cells, split, fitted, parity, frame_of_calls(cells, split.test, calls), tuned
    )
