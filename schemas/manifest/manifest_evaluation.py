"""The manifest's sections on evaluation: folds, intervals, a linear baseline, shallow input, missing genes."""

from typing import Any, Literal

from .manifest_section import Section
from .manifest_trust import Folds


class Estimate(Section):
    """A number with its 95 % interval, by bootstrap over donors or cells (`over`). Where no call was wrong no resample
    differs: then exact, of cells, for the accuracy, and none for macro-F1.
    """

    value: float
    low: float | None = None
    high: float | None = None
    over: Literal["donors", "cells"] | None = None


class FoldResult(Section):
    """One fold: trained on the others. `fold`: the donor, or the number of the fold. `baseline`: of logistic regression
    on the same cells and genes.
    """

    fold: str
    n_cells: int
    accuracy: float
    macro_f1: float
    baseline_accuracy: float | None = None
    baseline_macro_f1: float | None = None


class DepthPoint(Section):
    """Calls when only a share of the counts is there (binomial thinning), as shallow sequencing gives."""

    share_of_counts: float
    accuracy: float
    macro_f1: float


class PartialPanelPoint(Section):
    """Calls when a share of the panel's genes, drawn at random, was not measured; means over `n_draws` draws of genes.
    What is lost by attribution mass: `panel.overlap`.
    """

    share_missing: float
    n_draws: int
    accuracy: float
    macro_f1: float


class CoveragePoint(Section):
    """Calls of the most confident cells: `share_called` of the cells have at least `confidence`."""

    confidence: float
    share_called: float
    accuracy: float


class JudgedCells(Section):
    """Scores of the folds' cells whose type their networks had learned, as a part's in `metrics`."""

    n_cells: int
    accuracy: float
    macro_f1: float
    per_type: dict[str, Any] = {}
    confusion: list[list[int]] = []


class DoubtfulLabels(Section):
    """Cells of one label that are called another type. `n_cells`: cells of the label that were looked at."""

    label: str
    called: str
    n_cells: int
    n_doubtful: int


class LabelAuditEntry(Section):
    """Labels that both the calls of networks that never saw the cell and the markers contradict, `n_doubtful` of
    `n_cells`. `pairs`: the most frequent first.
    """

    n_cells: int
    n_doubtful: int
    pairs: list[DoubtfulLabels] = []


class LevelScores(Section):
    """Calls at one level, the most probable group of types, on held-out cells (`n_cells`; each with the temperatures of
    the other folds). `of_best_type`: accuracy of the group that the most probable type is of; `apart`: share of the
    cells in which that is another one. `uncalibrated`, `calibrated`: calibration error before and after the level's own
    temperature (both after that of the types). After `test_` the same of the test part, None where there is none.
    """

    name: str
    n_cells: int
    accuracy: float
    macro_f1: float
    of_best_type: float
    apart: float
    uncalibrated: float
    calibrated: float
    test_n_cells: int | None = None
    test_accuracy: float | None = None
    test_macro_f1: float | None = None
    test_uncalibrated: float | None = None
    test_calibrated: float | None = None


class EvaluationEntry(Section):
    """Cross-validation beside the one split, and what the model does with less. `evaluated_on`: the cells of the curves
    (`test`, or `out_of_fold` where there is no test part). `per_type`, `confusion`: of the folds together, as in
    `metrics`. `level`: `fast`, or `full` with the depth curve of every fold as well (`depth_per_fold`).
    `hardly_learned`: by fold, types of its cells of which the other folds have next to none. The networks of that fold
    did not learn them, so their cells count as wrong there, whatever the registered model makes of them. `judged`: the
    scores without these cells, None where all types were learned. `levels`: of a model with levels, the coarsest first.
    """

    level: Literal["fast", "full"] = "fast"

    folds: Folds
    n_folds: int
    n_cells: int
    accuracy: Estimate
    macro_f1: Estimate
    baseline_accuracy: Estimate | None = None
    baseline_macro_f1: Estimate | None = None
    per_fold: list[FoldResult] = []
    per_type: dict[str, Any] = {}
    confusion: list[list[int]] = []
    evaluated_on: Literal["test", "out_of_fold"]
    test_accuracy: Estimate | None = None
    test_macro_f1: Estimate | None = None
    test_baseline_accuracy: Estimate | None = None
    test_baseline_macro_f1: Estimate | None = None
    depth: list[DepthPoint] = []
    partial_panel: list[PartialPanelPoint] = []
    confidence: list[CoveragePoint] = []
    depth_per_fold: dict[str, list[DepthPoint]] = {}
    hardly_learned: dict[str, list[str]] = {}
    judged: JudgedCells | None = None
    label_audit: LabelAuditEntry | None = None
    levels: list[LevelScores] = []
    notes: list[str] = []


class MissingPoint(Section):
    """Macro-F1 when genes that carry `mass_missing` of the attribution mass were not measured, which are
    `genes_missing` of the panel, by share; means over draws of genes. `at_zero`: with zero in their place;
    `at_baseline`: with their fill, in models of earlier versions their baseline.
    """

    mass_missing: float
    genes_missing: float
    at_baseline: float
    at_zero: float


class OverlapEntry(Section):
    """How partial input is treated. `min_share`: of the panel's genes stands in `panel`; `min_mass`: of the attribution
    mass, below which input is refused; `min_type_mass`: of one type's own, below which that type is named as thin.
    Both are where the curve falls `max_loss` below its start (for the second, a type's F1). `n_draws`: of the genes
    that are missing, half of them at random, half in proportion to the mass they carry. `treatment`: what the graphs
    put in the place of such a gene; its `fill`, or in models of earlier versions its `baseline`.
    """

    treatment: Literal["fill", "baseline", "zero"]
    min_mass: float
    min_type_mass: float
    evaluated_on: Literal["test", "out_of_fold", "validation"]
    n_cells: int
    max_loss: float | None = None
    n_draws: int | None = None
    curve: list[MissingPoint] = []
