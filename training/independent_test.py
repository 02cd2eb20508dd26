"""Evaluation on a file that took no part in training, through the exported graph and the checked path of every door."""

from typing import Any

import numpy as np
import onnx

from cellmark.schemas.check_labels import label_column_findings
from cellmark.schemas.checked_cells import CheckedCells
from cellmark.schemas.errors import LabelError, raise_if_refused
from cellmark.schemas.gene_panel import GenePanel
from cellmark.schemas.normalization import dense_counts
from cellmark.schemas.read import open_cells

from .bootstrap import intervals
from .config import TrainingConfig
from .evaluate import evaluate
from .graph_session import open_session
from .label_map import harmonize, read_label_map, unused
from .labelled_cells import LabelledCells

CHUNK = 2048


def check_independent(config: TrainingConfig) -> None:
    """Raise what a wrong `config.test_data` will raise before hours went into training: no such file, no such label."""
    if config.test_data is None:
        return
    if config.test_labels is not None:
        read_label_map(config.test_labels)
    with open_cells(config.test_data, layer=config.layer, genes_by_cells=config.genes_by_cells) as source:
        raise_if_refused(label_column_findings(source.obs, config.test_label or config.label), LabelError)


def evaluate_independent(
    config: TrainingConfig, cells: LabelledCells, panel: GenePanel, annotator: onnx.ModelProto
) -> dict[str, Any]:
    """The measures of `evaluate` on `config.test_data`, and how many panel genes that file lacks.

    Labels that the model does not know are counted and left out. `config.test_labels`: a map that brings the file's
    labels and the model's types to names that both share; then `cell_types` are these names, in the order of the
    confusion matrix, and the map itself stands in `label_map`. Library sizes come from the same column as in
    training where the file has it, and are summed otherwise. Raises as the readers and checks do.
    """
    assert config.test_data is not None  # noqa: S101
    label = config.test_label or config.label
    session = open_session(annotator)
    calls = []
    with open_cells(config.test_data, layer=config.layer, genes_by_cells=config.genes_by_cells) as source:
        raise_if_refused(label_column_findings(source.obs, label), LabelError)
        checked = CheckedCells(
            source,
            panel,
            library_size=config.library_size if config.library_size in source.obs.columns else None,
            n_genes_trained=cells.n_genes_measured,
            min_share=config.min_panel_share,
        )
        for aligned in checked.chunks(CHUNK):
            counts = dense_counts(aligned.counts, aligned.measured)
            feeds = {"counts": counts, "library_size": aligned.library_size.reshape(-1, 1)}
            calls.append(session.run(["probabilities"], feeds)[0].argmax(axis=1))
        labels = source.obs[label].astype(str).to_numpy(dtype=str)
    label_map = read_label_map(config.test_labels) if config.test_labels is not None else {}
    codes, called, names = harmonize(labels, np.concatenate(calls), cells.cell_types, label_map)
    mapped: dict[str, Any] = {}
    if label_map:
        mapped = {"cell_types": list(names), "label_map": label_map,
                  "unused_in_label_map": unused(np.unique(labels).tolist(), cells.cell_types, label_map)}  # fmt: skip
    accuracy, macro_f1 = intervals(codes[codes >= 0], called[codes >= 0], len(names), seed=config.seed)
    return {
        **evaluate(codes, called, names),
        "accuracy_interval": [accuracy.low, accuracy.high],
        "macro_f1_interval": [macro_f1.low, macro_f1.high],
        **mapped,
        "n_genes_missing": len(checked.match.missing),
        "library_size_source": checked.library_size_source,
    }
