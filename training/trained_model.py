"""What a training run made."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.manifest.manifest import Manifest

from .cells.labelled_cells import LabelledCells
from .cells.split import Split
from .export.check_parity import Parity
from .network.ensemble import FittedEnsemble
from .network.folded_network import FoldedNetwork
from .tuning.tune import Tuned


@dataclass(frozen=True)
class TrainedModel:
    """What a run made. `test_calls`: cell id, label, call and confidence of each test cell; `calls`: int, of all cells.
    `embedding`: mean and components, as `embed` takes them. `tuned`: what the search for settings gave, None without.
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
