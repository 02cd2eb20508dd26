"""The manifest's sections on how far a call may be trusted: calibration, unknown cells, label sets."""

from statistics import fmean
from typing import Literal, NamedTuple

import numpy as np
from pydantic import Field

from .manifest_section import Section

Folds = Literal["donors", "cells"]
"""What the cross-validation holds out: whole donors, or random cells within types where there are no donors."""


class ReliabilityBin(Section):
    """Cells of one range of confidence (bins of equal numbers of cells), means over them."""

    n_cells: int
    confidence: float
    accuracy: float


class CalibrationScore(Section):
    """How far confidence is from accuracy. `expected_calibration_error`: over `bins`; Brier: over all types."""

    n_cells: int
    expected_calibration_error: float
    brier_score: float
    log_loss: float
    bins: list[ReliabilityBin] = []


class CalibrationEntry(Section):
    """The temperature inside the graph, and what it does. The first two scores are of held-out folds, each with the
    temperature of the other folds; the others are of the test part, None where there is none.
    """

    temperature: float
    folds: Folds
    n_folds: int
    n_cells: int
    uncalibrated: CalibrationScore
    calibrated: CalibrationScore
    test_uncalibrated: CalibrationScore | None = None
    test_calibrated: CalibrationScore | None = None


class LeftOutType(Section):
    """A type that a model was trained without, then met in cells of a fold that was held out of everything.

    `fold`: the donor, or the number of the fold. `auroc`: of the novelty score, unknown against known cells. `refused`:
    share of the unknown cells above the threshold; `known_refused`: of the known ones. `together`: other types that the
    same model was trained without.
    """

    cell_type: str
    fold: str
    n_unknown: int
    n_known: int
    auroc: float
    auroc_of_confidence: float
    refused: float
    known_refused: float
    together: list[str] = []


class LeftOutCells(NamedTuple):
    """`n`: cells of types left out; `refused`: those unassigned; `known_refused`: share of the known cells."""

    refused: int
    n: int
    known_refused: float


class PerturbedCells(Section):
    """Held-out cells as another protocol might give them: each gene's counts times a factor of its own, ln of which has
    the standard deviation `spread`. `refused`: share above the threshold, `refused_as_sample`: when judged as a sample.
    """

    spread: float
    n_cells: int
    refused: float
    refused_as_sample: float


class SampleShiftEntry(Section):
    """What a whole sample's novelty is compared with, see `schemas/calls/sample_shift.py`.

    `quantiles`: of held-out cells by best type, at 10, 25 and 50 %, in the order of the cell types, None for a type
    that too few were called; `tail`: at 99 %. `cap`: the largest shift that raises the threshold; `cap_of`: what showed
    it.
    """

    quantiles: list[tuple[float, float, float] | None]
    tail: list[float | None]
    cap: float
    cap_of: Literal["donors", "perturbation"]
    perturbed: PerturbedCells | None = None

    @property
    def quantiles_of_types(self) -> np.ndarray:
        """Float64 [types, 3], NaN for None."""
        return np.array([(np.nan,) * 3 if row is None else row for row in self.quantiles], dtype=np.float64)

    @property
    def tail_of_types(self) -> np.ndarray:
        """Float64 [types], NaN for None."""
        return np.array([np.nan if value is None else value for value in self.tail], dtype=np.float64)


class NoveltyEntry(Section):
    """The output `novelty`, larger is more novel, and the threshold above which a cell stays unassigned.

    `false_refusal_rate`: what the threshold was set to, on `n_cells` cells of held-out folds, without `unused_folds`,
    whose networks could not learn types of many cells; `refused_per_fold`: share of each fold's cells above a threshold
    that the other folds set; `test_refusal_rate`: what it gave in the test part. `left_out`: the protocol's table
    (`left_out_level`: `full`, each type of each fold by the ensemble; `fast`, a few types of one fold together, by one
    network); empty where it was not run. `sample_shift`: None in models of earlier versions, which judge every cell by
    itself.
    """

    score: str
    threshold: float
    false_refusal_rate: float
    folds: Folds
    n_cells: int
    unused_folds: list[str] = []
    refused_per_fold: dict[str, float] = {}
    test_refusal_rate: float | None = None
    left_out: list[LeftOutType] = []
    left_out_level: Literal["fast", "full"] | None = None
    sample_shift: SampleShiftEntry | None = None

    def mean_left_out(self, field: str) -> float | None:
        """Mean of a field of `left_out` over types, each the mean over its folds; None where none was left out."""
        by_type: dict[str, list[float]] = {}
        for row in self.left_out:
            by_type.setdefault(row.cell_type, []).append(getattr(row, field))
        return fmean(map(fmean, by_type.values())) if by_type else None

    def left_out_cells(self, cell_type: str | None = None) -> "LeftOutCells | None":
        """Cells counted over all rows of `left_out`, or over one type's; None where there is no row."""
        rows = [row for row in self.left_out if cell_type in (None, row.cell_type)]
        if not rows:
            return None
        refused = sum(round(row.refused * row.n_unknown) for row in rows)
        known = sum(row.known_refused * row.n_known for row in rows) / max(sum(row.n_known for row in rows), 1)
        return LeftOutCells(refused, sum(row.n_unknown for row in rows), known)


class LabelSetLevel(Section):
    """Split-conformal label sets at one error rate: the types of at least their own threshold, and always the best one.

    `thresholds`: of the flattened probability, in the order of the cell types. `pooled`: types with too few cells for a
    threshold of their own. Coverage and sizes are measured on held-out folds (each with thresholds of the other folds)
    and on the test part; `coverage_per_fold`: by donor or number of the fold.
    """

    error_rate: float
    thresholds: list[float]
    pooled: list[str] = []
    coverage: float
    coverage_per_fold: dict[str, float] = {}
    mean_size: float
    share_of_one: float
    test_coverage: float | None = None
    test_mean_size: float | None = None
    test_share_of_one: float | None = None


class LabelSetsEntry(Section):
    """Label sets with a stated error rate, one level for each rate. `default_error_rate`: of what is served unasked.

    `flattening`: f of the probabilities p ** (1 / f) / sum(p ** (1 / f)) that thresholds are of; 1 in models that an
    earlier version trained.
    """

    folds: Folds
    n_cells: int
    default_error_rate: float
    flattening: float = Field(default=1.0, gt=0)
    levels: list[LabelSetLevel]


class DistilledEntry(Section):
    """The second annotator, one network that learned the ensemble's answers: what is said of the ensemble above,
    measured in the same way, each fold's network having learned that fold's answers. `level_temperatures`: of its sums,
    see `LevelEntry`; empty for a model without levels.
    """

    temperature: float
    calibration: CalibrationEntry | None = None
    novelty: NoveltyEntry | None = None
    label_sets: LabelSetsEntry | None = None
    level_temperatures: list[float] = []


def flattened(probabilities: np.ndarray, flattening: float) -> np.ndarray:
    """Probabilities to the power of 1 / `flattening`, each cell's with sum 1: the softmax at that many times the
    temperature. `probabilities`: cells x types; 1 leaves them as they are.
    """
    if flattening == 1:
        return probabilities
    powers = probabilities ** probabilities.dtype.type(1 / flattening)
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
