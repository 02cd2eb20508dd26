"""How far calls can be trusted, by cross-validation: temperature, label sets, novelty.

Of any networks that have folds: the registered ensemble, or its distilled pupil.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import softmax

from ..evaluation.calibration_section import calibration_section
from ..evaluation.label_sets_section import label_sets_section
from ..evaluation.novelty import NoveltyScore, novelty_of, novelty_of_folds, novelty_section, score_of
from ..evaluation.out_of_fold import OutOfFold
from ..network.classifier import Classifier
from .training_cells import TrainingCells


@dataclass(frozen=True)
class CallMeasures:
    """`probabilities`: calibrated, of all cells, cells x types. `novelty_score`: its constants; `embedding`: the mean
    and components that they are of. `fold_novelty`: of all cells to the networks that did not see them, see
    `novelty_of_folds`. `calibration`, `label_sets`, `novelty`: the manifest's sections, None where no fold could be
    judged.
    """

    temperature: float
    probabilities: np.ndarray
    novelty_score: NoveltyScore
    embedding: tuple[np.ndarray, np.ndarray]
    fold_novelty: np.ndarray
    calibration: dict[str, Any] | None
    label_sets: dict[str, Any] | None
    novelty: dict[str, Any] | None

    @property
    def calls(self) -> np.ndarray:
        """Number of each cell's most probable type, int [cells]."""
        return np.asarray(self.probabilities.argmax(axis=1))

    @property
    def sections(self) -> dict[str, Any]:
        """What the manifest says of these networks' answers."""
        return {name: getattr(self, name) for name in ("temperature", "calibration", "novelty", "label_sets")}


def measure_calls(
    held_out: OutOfFold, classifiers: Sequence[Classifier], member_logits: np.ndarray, prepared: TrainingCells
) -> CallMeasures:
    """Measure networks. `held_out`: of networks made in the same way, without each fold. `classifiers`: those that will
    answer; `member_logits`: what they say, members x cells x types.
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
    score, embedding = score_of(classifiers, x, cells.codes, split.train)
    fold_novelty = novelty_of_folds(held_out, x, cells.codes)
    novelty = novelty_section(
        held_out, fold_novelty, cells.codes, test_novelty=novelty_of(classifiers, x[split.test], score, embedding)
    )
    return CallMeasures(temperature, probabilities, score, embedding, fold_novelty, calibration, label_sets, novelty)
