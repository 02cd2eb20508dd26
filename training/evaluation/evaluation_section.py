"""The manifest's section `evaluation`: folds, intervals, a linear baseline, and calls on poorer input."""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from cellmark.schemas.checks.split import Split
from cellmark.schemas.manifest.manifest_evaluation import EvaluationEntry

from ..network.classifier import Classifier
from ..network.ensemble import predict_probabilities
from ..network.fit import predict_logits
from ..network.linear_member import MAX_ROWS, fit_linear
from .calibration_section import cross_calibrated
from .evaluate import MIN_DONORS, evaluate, intervals
from .out_of_fold import OutOfFold
from .poorer_input import Calls, confidence_curve, depth_curve, partial_panel_curve

MAX_CURVE_CELLS = 5_000
"""Cells of the curves at most; more make them no smoother."""
COMPARED = (
    "macro-F1 is the mean of F1 over the types with tested cells; network and logistic regression learned from the "
    "same cells, types and genes (no cells that only settle when a network stops) and were tested on the same cells"
)

Curve = list[dict[str, Any]]


def evaluation_section(
    x: sp.csr_matrix,
    codes: np.ndarray,
    cell_types: Sequence[str],
    split: Split,
    held_out: OutOfFold,
    *,
    donors: np.ndarray | None,
    probabilities: np.ndarray,
    classifiers: Sequence[Classifier],
    learned: np.ndarray,
    fill: np.ndarray,
    level: Literal["fast", "full"],
    normalised: bool = False,
    seed: int,
) -> dict[str, Any]:
    """As `EvaluationEntry`. Nothing here chooses anything. `normalised`: counts are not known, and so cannot be fewer.

    `x`: CSR, all cells x panel genes, ln(1 + counts per 10,000); `codes`: int [cells], numbers of `cell_types`.
    `split`: of the registered model, `classifiers` its networks, `learned` the numbers of the cells that they were
    fitted on, `probabilities` what they say of all cells, cells x types. `fill`: what takes the place of a gene that
    was not measured, [genes].

    The linear baseline learns from the cells that the networks beside it learned from: in a fold `held_out.train`,
    which has no types below the floor and no cells that settle when networks stop, for the test part `learned`. It is
    given them as they are; a linear member of the ensemble learns from poorer ones too.
    """
    plan, n_types = held_out.plan, len(cell_types)
    rows = plan.cells
    found, linear = _calls_of_folds(x, codes, held_out, seed=seed)
    of_rows = donors[rows] if donors is not None else None
    section: dict[str, Any] = {
        "level": level,
        "folds": plan.folds,
        "n_folds": len(plan.names),
        "n_cells": len(rows),
        "hardly_learned": _hardly_learned(codes, held_out, cell_types),
        **_estimates("", codes[rows], found[rows], n_types, of_rows, seed),
        **_estimates("baseline_", codes[rows], linear[rows], n_types, of_rows, seed),
        "per_fold": [
            _fold(name, codes, found, linear, np.flatnonzero(plan.fold_of == number), cell_types)
            for number, name in enumerate(plan.names)
        ],
    }
    together = evaluate(codes[rows], found[rows], cell_types)
    section |= {name: together[name] for name in ("per_type", "confusion")}
    judged = held_out.judged(codes)
    if 0 < len(judged) < len(rows):
        section["judged"] = evaluate(codes[judged], found[judged], cell_types)
    notes = [COMPARED, "folds share the panel of genes, which was chosen on the registered model's training cells"]
    if donors is not None and len(np.unique(donors[rows])) < MIN_DONORS:
        notes.append(f"intervals resample cells: with fewer than {MIN_DONORS} donors they leave out how donors differ")
    if len(rows) > MAX_ROWS:
        notes.append(f"the linear baseline was trained on at most {MAX_ROWS} cells, drawn")
    if len(split.test):
        test = split.test
        of_test = donors[test] if donors is not None else None
        regression = fit_linear(x, codes, learned, n_types, seed=seed)
        called = probabilities[test].argmax(axis=1)
        section |= _estimates("test_", codes[test], called, n_types, of_test, seed)
        section |= _estimates("test_baseline_", codes[test], _called(regression, x[test]), n_types, of_test, seed)
        section["evaluated_on"] = "test"
        section["confidence"] = confidence_curve(probabilities[test], codes[test])
        depth, partial = _curves(classifiers, x, codes, test, n_types, fill, seed)
    else:
        section["evaluated_on"] = "out_of_fold"
        section["confidence"] = confidence_curve(cross_calibrated(held_out, codes, rows), codes[rows])
    if level == "full" or not len(split.test):
        each = [
            _curves(networks, x, codes, np.flatnonzero(plan.fold_of == number), n_types, fill, seed)
            for number, networks in enumerate(held_out.classifiers)
        ]
        section["depth_per_fold"] = dict(zip(plan.names, (curve for curve, _ in each), strict=True))
        if not len(split.test):
            depth, partial = _mean([curve for curve, _ in each]), _mean([curve for _, curve in each])
            notes.append("depth and partial panel: means over the folds, each by its own networks")
    if normalised:
        depth, section["depth_per_fold"] = [], {}
        notes.append("fewer counts were not tried: counts are not known of normalised input")
    # Through its model, so that what was not measured is written too, as empty.
    whole = EvaluationEntry.model_validate({**section, "depth": depth, "partial_panel": partial, "notes": notes})
    return whole.model_dump(mode="json")


def _hardly_learned(codes: np.ndarray, held_out: OutOfFold, cell_types: Sequence[str]) -> dict[str, list[str]]:
    """By fold, types of its cells that its networks could not learn; folds without such left out."""
    plan, found = held_out.plan, {}
    for number, name in enumerate(plan.names):
        inside = np.bincount(codes[plan.fold_of == number], minlength=len(cell_types)) > 0
        if few := np.flatnonzero(inside & ~held_out.learned[number]).tolist():
            found[name] = [cell_types[code] for code in few]
    return found


def _calls_of_folds(
    x: sp.csr_matrix, codes: np.ndarray, held_out: OutOfFold, *, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Calls of networks and of logistic regression that did not see a cell, int [cells], -1 where there is none."""
    plan = held_out.plan
    found, linear = np.full(len(codes), -1), np.full(len(codes), -1)
    found[plan.cells] = held_out.logits[plan.cells].argmax(axis=1)
    for number in range(len(plan.names)):
        inside = np.flatnonzero(plan.fold_of == number)
        regression = fit_linear(x, codes, held_out.train[number], held_out.learned.shape[1], seed=seed)
        linear[inside] = _called(regression, x[inside])
    return found, linear


def _called(classifier: Classifier, x: sp.csr_matrix) -> np.ndarray:
    return np.asarray(predict_logits(classifier, x).argmax(dim=1).numpy())


def _fold(
    name: str,
    codes: np.ndarray,
    found: np.ndarray,
    linear: np.ndarray,
    inside: np.ndarray,
    cell_types: Sequence[str],
) -> dict[str, Any]:
    ours, theirs = (evaluate(codes[inside], calls[inside], cell_types) for calls in (found, linear))
    measures = ("accuracy", "macro_f1")
    return {
        "fold": name,
        "n_cells": len(inside),
        **{measure: ours[measure] for measure in measures},
        **{f"baseline_{measure}": theirs[measure] for measure in measures},
    }


def _estimates(
    prefix: str, codes: np.ndarray, calls: np.ndarray, n_types: int, donors: np.ndarray | None, seed: int
) -> dict[str, Any]:
    accuracy, macro_f1 = intervals(codes, calls, n_types, donors=donors, seed=seed)
    return {f"{prefix}accuracy": accuracy._asdict(), f"{prefix}macro_f1": macro_f1._asdict()}


def _curves(
    classifiers: Sequence[Classifier],
    x: sp.csr_matrix,
    codes: np.ndarray,
    cells: np.ndarray,
    n_types: int,
    fill: np.ndarray,
    seed: int,
) -> tuple[Curve, Curve]:
    """Depth and partial panel: calls of these networks on `cells`, or on as many of them as are drawn."""
    if len(cells) > MAX_CURVE_CELLS:
        cells = np.sort(np.random.default_rng(seed).choice(cells, MAX_CURVE_CELLS, replace=False))

    def calls(poorer: sp.csr_matrix) -> np.ndarray:
        return np.asarray(predict_probabilities(classifiers, poorer).argmax(axis=1))

    predict: Calls = calls
    return (
        depth_curve(predict, x[cells], codes[cells], n_types, seed=seed),
        partial_panel_curve(predict, x[cells], codes[cells], n_types, fill=fill, seed=seed),
    )


def _mean(curves: Sequence[Curve]) -> Curve:
    """Point by point, the means of accuracy and macro-F1 over curves that have the same points."""
    means = []
    for points in zip(*curves, strict=True):
        mean = {name: float(np.mean([point[name] for point in points])) for name in ("accuracy", "macro_f1")}
        means.append({**points[0], **mean})
    return means
