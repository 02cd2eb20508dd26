"""The registered networks: the ensemble, and what each of its members says of every cell."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from ..config import TrainingConfig
from ..network.classifier import Classifier
from ..network.ensemble import FittedEnsemble, fit_ensemble, variations
from ..network.fit import predict_logits
from ..network.fit_data import FitData
from ..network.fit_result import Epoch
from ..network.fit_settings import FitSettings
from ..network.folded_network import FoldedNetwork, fold


@dataclass(frozen=True)
class FittedNetworks:
    """`settings`: those chosen; `variations`: those of each member. `members`: the networks of `ensemble`, folded.
    `member_logits`: float32, members x cells x types.
    """

    settings: FitSettings
    variations: tuple[FitSettings, ...]
    ensemble: FittedEnsemble
    members: tuple[FoldedNetwork, ...]
    member_logits: np.ndarray

    @property
    def classifiers(self) -> tuple[Classifier, ...]:
        return self.ensemble.classifiers

    @property
    def member_calls(self) -> np.ndarray:
        """Number of the type that each member calls, int [members, cells]."""
        return np.asarray(self.member_logits.argmax(axis=2))

    def facts(self, *, seed: int) -> dict[str, Any]:
        """What `NetworkEntry` says of shape and settings."""
        return {
            "n_members": len(self.members),
            "hidden_units": [member.hidden_units for member in self.members],
            "parameters": {**asdict(self.settings), "seed": seed, "best_epoch": self.ensemble.best_epoch},
        }


def fit_networks(
    data: FitData, settings: FitSettings, config: TrainingConfig, *, on_epoch: Callable[[Epoch], None]
) -> FittedNetworks:
    """Fit `config.n_members` networks around `settings`, on training cells."""
    members = variations(settings, n_members=config.n_members)
    ensemble = fit_ensemble(data, members=members, seed=config.seed, device=config.device, on_epoch=on_epoch)
    logits = np.stack([predict_logits(classifier, data.x).numpy() for classifier in ensemble.classifiers])
    return FittedNetworks(
        settings, members, ensemble, tuple(fold(classifier) for classifier in ensemble.classifiers), logits
    )
