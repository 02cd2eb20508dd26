"""What a trained ensemble makes of the cells it may see: baselines, attributions and the marker table."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..choices import BaselineKind
from ..config import TrainingConfig
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
