"""What a trained ensemble makes of cells: baselines, attributions, the marker table, and a UMAP of held-out cells.

The UMAP is for the report's map, without ids or counts.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import onnx
import pandas as pd

from ..cells.cell_groups import draw_cells
from ..cells.plane import plane
from ..choices import BaselineKind
from ..config import TrainingConfig
from ..export.check_parity import open_session
from ..markers.find_markers import MarkerCells, PanelGenes, find_markers
from ..network.contributions import attribution_shares, choose_baselines, type_means
from ..network.ensemble import mean_gate
from .fitted_networks import FittedNetworks
from .training_cells import TrainingCells


@dataclass(frozen=True)
class Explained:
    """`baselines`: x0 of the explanations that are served, [genes], and `baseline_kind` what they are. `shares`: each
    gene's share of the attribution mass, [genes] and [types, genes]. `markers`: the marker table.
    """

    baselines: np.ndarray
    baseline_kind: str
    shares: np.ndarray
    shares_per_type: np.ndarray
    markers: pd.DataFrame


def explain_training(
    fitted: FittedNetworks, calls: np.ndarray, prepared: TrainingCells, config: TrainingConfig
) -> Explained:
    """Explain all cells but those of the test part, which stay unseen, and rank markers in them.

    `calls`: int [cells], of the ensemble. Baselines come from training cells.
    """
    cells, data, members = prepared.cells, prepared.data, fitted.members
    n_types = data.n_types
    kind = config.markers.baseline
    # A random cell is no neutral ground for explanations, nor for genes that an input did not measure.
    served_kind: BaselineKind = "mean" if kind == "random" else kind
    train_x, train_codes = data.x[data.train], data.codes[data.train]
    baselines = choose_baselines(served_kind, train_x, train_codes, n_types, seed=config.seed)
    marker_baselines = choose_baselines(kind, train_x, train_codes, n_types, seed=config.seed)
    seen = data.seen
    seen_x, codes = data.x[seen], data.codes[seen]
    means = type_means(members, seen_x, baselines, codes, calls[seen])
    marker_means = means
    if served_kind != kind:
        marker_means = type_means(members, seen_x, marker_baselines, codes, calls[seen])
    markers = find_markers(
        members,
        MarkerCells(
            x=seen_x,
            counts=cells.counts[seen],
            columns=prepared.columns,
            codes=codes,
            calls=calls[seen],
            member_calls=fitted.member_calls[:, seen],
            donors=None if cells.donors is None else cells.donors[seen],
        ),
        PanelGenes(prepared.panel.symbols, prepared.gene_ids, prepared.allowed, mean_gate(fitted.classifiers)),
        cell_types=cells.cell_types,
        baselines=baselines,
        marker_baselines=marker_baselines,
        means=means,
        marker_means=marker_means,
        settings=config.markers,
        seed=config.seed,
    )
    shares, per_type = attribution_shares(means)
    return Explained(baselines, "mean_of_types" if served_kind == "mean" else served_kind, shares, per_type, markers)


AT_MOST = 4_000
CHUNK = 1024


class MappedCells(NamedTuple):
    """`table`: what the bundle keeps. `rows`: int, numbers of the cells in the training data; `where`: [rows, 2]."""

    table: pd.DataFrame
    rows: np.ndarray
    where: np.ndarray


def map_cells(annotator: onnx.ModelProto, prepared: TrainingCells, *, seed: int) -> MappedCells:
    """At most `AT_MOST` cells of `Split.unseen` in a UMAP; of more, as many of each type as it has.

    The table has `x`, `y`, `label`, `call` (the most probable type), `confidence`, `novelty` (null where the graph has
    no such output) and `part`.
    Its rows are sorted by their content, so that a row's place says nothing of the cell's place in the file.
    """
    part, unseen = prepared.split.unseen
    counts, library_size = prepared.counts[unseen], prepared.cells.library_size[unseen]
    codes = prepared.cells.codes[unseen]
    rows = draw_cells(codes, at_most=AT_MOST, seed=seed)
    session = open_session(annotator)
    available = {output.name for output in session.get_outputs()}
    wanted = [name for name in ("probabilities", "embedding", "novelty") if name in available]
    found: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for start in range(0, len(rows), CHUNK):
        chunk = rows[start : start + CHUNK]
        fed = {
            "counts": counts[chunk].toarray().astype(np.float32),
            "library_size": library_size[chunk].astype(np.float32)[:, None],
        }
        for name, values in zip(wanted, session.run(wanted, fed), strict=True):
            found[name].append(values)
    outputs = {name: np.concatenate(values) for name, values in found.items()}
    where = plane(outputs["embedding"], seed=seed)
    names = np.array(prepared.cells.cell_types, dtype=object)
    probabilities = outputs["probabilities"]
    novelty = outputs.get("novelty", np.full(len(rows), np.nan)).astype(np.float64)
    table = pd.DataFrame(
        {
            "x": np.round(where[:, 0].astype(np.float64), 3),
            "y": np.round(where[:, 1].astype(np.float64), 3),
            "label": names[codes[rows]],
            "call": names[probabilities.argmax(axis=1)],
            "confidence": np.round(probabilities.max(axis=1).astype(np.float64), 4),
            "novelty": novelty,
            "part": part,
        }
    )
    table = table.sort_values(["label", "x", "y", "confidence"], kind="stable", ignore_index=True)
    return MappedCells(table, unseen[rows], where)
