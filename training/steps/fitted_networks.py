"""The registered networks, and how far their calls can be trusted.

Temperature, label sets and novelty are measured by cross-validation, of the ensemble and of its distilled pupil.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from ..config import TrainingConfig
from ..evaluation.calibration_section import calibration_section
from ..evaluation.label_sets_section import label_sets_section
from ..evaluation.levels_section import LevelMeasures, measure_levels
from ..evaluation.novelty import NoveltyScore, fold_scores, novelty_of, novelty_of_folds, novelty_section, score_of
from ..evaluation.out_of_fold import OutOfFold
from ..evaluation.sample_shift_section import sample_shift_section
from ..network.classifier import Classifier
from ..network.ensemble import FittedEnsemble, fit_ensemble, variations
from ..network.fit import predict_logits
from ..network.fit_settings import Epoch, FitData, FitSettings
from ..network.folded_network import FoldedNetwork, fold
from .training_cells import TrainingCells


@dataclass(frozen=True)
class FittedNetworks:
    """`settings`: those chosen; `variations`: those of each member. `learned`: numbers of the cells that they were
    fitted on. `members`: the networks of `ensemble`, folded. `member_logits`: float32, members x cells x types.
    """

    settings: FitSettings
    learned: np.ndarray
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
            "n_members": sum(bool(member.hidden_units) for member in self.members),
            "hidden_units": [member.hidden_units for member in self.members if member.hidden_units],
            "linear_member": any(not member.hidden_units for member in self.members),
            "parameters": {**asdict(self.settings), "seed": seed, "best_epoch": self.ensemble.best_epoch},
        }


def fit_networks(
    data: FitData, settings: FitSettings, config: TrainingConfig, *, on_epoch: Callable[[Epoch], None]
) -> FittedNetworks:
    """Fit `config.n_members` networks around `settings`, and logistic regression beside them, on `FitData.learned`."""
    members = variations(settings, n_members=config.n_members, linear=config.linear_member)
    ensemble = fit_ensemble(data, members=members, seed=config.seed, device=config.device, on_epoch=on_epoch)
    logits = np.stack([predict_logits(classifier, data.x).numpy() for classifier in ensemble.classifiers])
    folded = tuple(fold(classifier) for classifier in ensemble.classifiers)
    return FittedNetworks(settings, data.learned(settings), members, ensemble, folded, logits)


@dataclass(frozen=True)
class CallMeasures:
    """`probabilities`: calibrated, of all cells, cells x types. `novelty_score`: its constants; `embedding`: the mean
    and components that they are of. `fold_novelty`: of all cells to the networks that did not see them, see
    `novelty_of_folds`. `calibration`, `label_sets`, `novelty`: the manifest's sections, None where no fold could be
    judged. `levels`: what was measured of calls at each level.
    """

    temperature: float
    probabilities: np.ndarray
    novelty_score: NoveltyScore
    embedding: tuple[np.ndarray, np.ndarray]
    fold_novelty: np.ndarray
    calibration: dict[str, Any] | None
    label_sets: dict[str, Any] | None
    novelty: dict[str, Any] | None
    levels: LevelMeasures

    @property
    def calls(self) -> np.ndarray:
        """Number of each cell's most probable type, int [cells]."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def sections(self) -> dict[str, Any]:
        """What the manifest says of these networks' answers."""
        return {name: getattr(self, name) for name in ("temperature", "calibration", "novelty", "label_sets")}


def measure_calls(
    held_out: OutOfFold,
    classifiers: Sequence[Classifier],
    member_logits: np.ndarray,
    prepared: TrainingCells,
    *,
    learned: np.ndarray,
    seed: int,
) -> CallMeasures:
    """Measure networks. `held_out`: of networks made in the same way, without each fold. `classifiers`: those that will
    answer; `member_logits`: what they say, members x cells x types. `learned`: numbers of the cells that they were
    fitted on. `seed`: of perturbations.
    """
    x, cells, split = prepared.x, prepared.cells, prepared.split
    logits = member_logits.mean(axis=0)
    calibration = calibration_section(held_out, cells.codes, test=split.test, test_logits=logits[split.test])
    temperature = 1.0 if calibration is None else calibration["temperature"]
    probabilities = softmax(logits / np.float32(temperature), axis=1)
    label_sets = label_sets_section(
        held_out,
        cells.codes,
        cells.cell_types,
        temperature=temperature,
        test=split.test,
        test_probabilities=probabilities[split.test],
    )
    levels = measure_levels(
        prepared.levels,
        held_out,
        cells.codes,
        cells.cell_types,
        temperature=temperature,
        test=split.test,
        test_probabilities=probabilities[split.test],
    )
    score, embedding = score_of(classifiers, x, cells.codes, learned)
    scores = fold_scores(held_out, x, cells.codes)
    fold_novelty = novelty_of_folds(scores, x)
    novelty = novelty_section(
        held_out, fold_novelty, cells.codes, test_novelty=novelty_of(classifiers, x[split.test], score, embedding)
    )
    if novelty is not None:
        novelty["sample_shift"] = sample_shift_section(
            held_out, scores, x, cells.codes, fold_novelty, threshold=novelty["threshold"], seed=seed
        )
    return CallMeasures(
        temperature, probabilities, score, embedding, fold_novelty, calibration, label_sets, novelty, levels
    )
