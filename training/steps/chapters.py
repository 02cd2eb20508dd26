"""All that a training run found out, chapter by chapter, and the model that is handed on."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.checks.split import Split
from cellmark.schemas.manifest.manifest import Manifest

from ..cells.labelled_cells import LabelledCells
from ..config import TrainingConfig
from ..evaluation.out_of_fold import OutOfFold
from ..export.check_parity import Parity
from ..network.ensemble import FittedEnsemble
from ..network.folded_network import FoldedNetwork
from ..tuning.tune import Tuned
from .describe import frame_of_calls
from .distilled_annotator import Distilled, Graphs
from .evaluate_training import Evaluated
from .explain_training import Explained
from .fitted_networks import CallMeasures, FittedNetworks
from .shown_cells import ShownCells
from .training_cells import TrainingCells


@dataclass(frozen=True)
class TrainedModel:
    """What a run made. `test_calls`: cell id, label, call and confidence of each test cell; `calls`: int, of all cells.
    `label_doubts`: cells whose label is contradicted. `embedding`: mean and components, as `embed` takes them.
    `tuned`: what the search for settings gave, None without.
    """

    bundle: Bundle
    manifest: Manifest
    cells: LabelledCells
    split: Split
    fitted: FittedEnsemble
    parity: Parity
    test_calls: pd.DataFrame
    calls: np.ndarray
    members: tuple[FoldedNetwork, ...]
    embedding: tuple[np.ndarray, np.ndarray]
    tuned: Tuned | None = None
    label_doubts: pd.DataFrame | None = None


@dataclass(frozen=True)
class Chapters:
    """What each step made, in their order; None for what was not asked for."""

    config: TrainingConfig
    prepared: TrainingCells
    tuned: Tuned | None
    fitted: FittedNetworks
    held_out: OutOfFold
    trust: CallMeasures
    explained: Explained
    graphs: Graphs
    distilled: Distilled | None
    evaluated: Evaluated
    shown: ShownCells

    def model(self, bundle: Bundle, manifest: Manifest) -> TrainedModel:
        """For the tracker and the figures. `bundle`: what was written of these chapters."""
        cells, split = self.prepared.cells, self.prepared.split
        return TrainedModel(
            bundle=bundle,
            manifest=manifest,
            cells=cells,
            split=split,
            fitted=self.fitted.ensemble,
            parity=self.graphs.parity,
            test_calls=frame_of_calls(cells, split.test, self.trust.probabilities),
            calls=self.trust.calls,
            members=self.fitted.members,
            embedding=self.trust.embedding,
            tuned=self.tuned,
            label_doubts=self.evaluated.label_doubts,
        )
