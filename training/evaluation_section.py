"""The manifest's section `evaluation`: folds, intervals, a linear baseline, and calls on poorer input."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import scipy.sparse as sp

from .bootstrap import MIN_DONORS, Interval, intervals
from .evaluate import evaluate
from .linear_baseline import MAX_CELLS, LinearBaseline
from .poorer_input import Calls, confidence_curve, depth_curve, partial_panel_curve

MAX_CURVE_CELLS = 5_000
"""Cells of the curves at most; more make them no smoother."""


@dataclass(frozen=True)
class HeldOut:
    """What networks said of cells that they were not trained on, each cell held out once.

    `folds`: what was held out in turn. `names`: of the folds, the donor or a number. `fold_of`: int [cells], number of
    the fold in which a cell was held out, -1 for a cell that never was. `probabilities`: cells x types; of cells that
    never were, of no meaning. `calls_of_fold`: from each fold's number to its networks' calls, None where these were
    not kept.
    """

    folds: Literal["donors", "cells"]
    names: tuple[str, ...]
    fold_of: np.ndarray
    probabilities: np.ndarray
    calls_of_fold: Callable[[int], Calls] | None = None


def evaluation_section(
    x: sp.csr_matrix,
    codes: np.ndarray,
    cell_types: Sequence[str],
    held_out: HeldOut,
    *,
    donors: np.ndarray | None,
    train: np.ndarray,
    test: np.ndarray,
    probabilities: np.ndarray,
    calls: Calls,
    baselines: np.ndarray,
    level: Literal["fast", "full"],
    seed: int,
) -> dict[str, Any]:
    """As `EvaluationEntry`.

    `x`: CSR, all cells x panel genes, ln(1 + counts per 10,000); `codes`: int [cells], numbers of `cell_types`.
    `train`: the cells that the registered model was fitted on, validation cells among them; `test`: those it has not
    seen, none or more; `probabilities`: what it says of all cells, `calls` its calls for other expression.
    `baselines`: what takes the place of a gene that was not measured, [genes].

    The baseline of a fold is trained on all cells of the other folds: on those that settled when the network stopped,
    too. Nothing here chooses anything.
    """
    n_types = len(cell_types)
    rows = np.flatnonzero(held_out.fold_of >= 0)
    notes = []
    found = np.full(len(codes), -1)
    found[rows] = held_out.probabilities[rows].argmax(axis=1)
    linear = np.full(len(codes), -1)
    per_fold = []
    for number, name in enumerate(held_out.names):
        inside = np.flatnonzero(held_out.fold_of == number)
        others = rows[held_out.fold_of[rows] != number]
        linear[inside] = LinearBaseline(x, codes, others, seed=seed).calls(x[inside])
        ours, theirs = (_measures(codes[inside], of[inside], cell_types) for of in (found, linear))
        per_fold.append({"fold": name, "n_cells": len(inside), "accuracy": ours["accuracy"],
                         "macro_f1": ours["macro_f1"], "baseline_accuracy": theirs["accuracy"],
                         "baseline_macro_f1": theirs["macro_f1"]})  # fmt: skip
    of_rows = donors[rows] if donors is not None else None
    accuracy, macro_f1 = intervals(codes[rows], found[rows], n_types, donors=of_rows, seed=seed)
    linear_accuracy, linear_f1 = intervals(codes[rows], linear[rows], n_types, donors=of_rows, seed=seed)
    together = evaluate(codes[rows], found[rows], cell_types)
    section: dict[str, Any] = {
        "level": level,
        "folds": held_out.folds,
        "n_folds": len(held_out.names),
        "n_cells": len(rows),
        "accuracy": _estimate(accuracy),
        "macro_f1": _estimate(macro_f1),
        "baseline_accuracy": _estimate(linear_accuracy),
        "baseline_macro_f1": _estimate(linear_f1),
        "per_fold": per_fold,
        "per_type": together["per_type"],
        "confusion": together["confusion"],
    }
    if donors is not None and len(np.unique(donors[rows])) < MIN_DONORS:
        notes.append(f"intervals resample cells: with fewer than {MIN_DONORS} donors they leave out how donors differ")
    if min(len(rows), len(train)) > MAX_CELLS:
        notes.append(f"the linear baseline was trained on {MAX_CELLS} cells drawn from each training part")
    if len(test):
        section |= _test_estimates(x, codes, n_types, donors, train, test, probabilities, seed)
        shown, sure, predict = test, probabilities, calls
        section["evaluated_on"] = "test"
    else:
        shown, sure, predict = rows, held_out.probabilities, None
        section["evaluated_on"] = "out_of_fold"
    section["confidence"] = confidence_curve(sure[shown], codes[shown])
    if len(shown) > MAX_CURVE_CELLS:
        shown = np.sort(np.random.default_rng(seed).choice(shown, MAX_CURVE_CELLS, replace=False))
        notes.append(f"depth and partial panel: on {MAX_CURVE_CELLS} cells drawn from those held out")
    if predict is not None:
        section["depth"] = depth_curve(predict, x[shown], codes[shown], n_types, seed=seed)
        section["partial_panel"] = partial_panel_curve(
            predict, x[shown], codes[shown], n_types, baselines=baselines, seed=seed
        )
    if held_out.calls_of_fold is not None and (level == "full" or predict is None):
        of_folds = _of_folds(x, codes, held_out, n_types, baselines=baselines, seed=seed)
        if level == "full":
            section["depth_per_fold"] = dict(zip(held_out.names, (depth for depth, _ in of_folds), strict=True))
        if predict is None:
            section["depth"] = _mean([depth for depth, _ in of_folds])
            section["partial_panel"] = _mean([partial for _, partial in of_folds])
            notes.append("depth and partial panel: means over the folds, each with its own networks")
    section["notes"] = notes
    return section


def _test_estimates(
    x: sp.csr_matrix,
    codes: np.ndarray,
    n_types: int,
    donors: np.ndarray | None,
    train: np.ndarray,
    test: np.ndarray,
    probabilities: np.ndarray,
    seed: int,
) -> dict[str, Any]:
    of_test = donors[test] if donors is not None else None
    linear = LinearBaseline(x, codes, train, seed=seed).calls(x[test])
    both = {"test": probabilities[test].argmax(axis=1), "test_baseline": linear}
    section: dict[str, Any] = {}
    for name, called in both.items():
        accuracy, macro_f1 = intervals(codes[test], called, n_types, donors=of_test, seed=seed)
        section |= {f"{name}_accuracy": _estimate(accuracy), f"{name}_macro_f1": _estimate(macro_f1)}
    return section


def _of_folds(
    x: sp.csr_matrix, codes: np.ndarray, held_out: HeldOut, n_types: int, *, baselines: np.ndarray, seed: int
) -> list[tuple[list[dict[str, Any]], list[dict[str, Any]]]]:
    """The curves of depth and of partial panels of each fold, by its own networks."""
    assert held_out.calls_of_fold is not None  # noqa: S101
    curves = []
    for number in range(len(held_out.names)):
        inside = np.flatnonzero(held_out.fold_of == number)
        predict = held_out.calls_of_fold(number)
        curves.append((
            depth_curve(predict, x[inside], codes[inside], n_types, seed=seed),
            partial_panel_curve(predict, x[inside], codes[inside], n_types, baselines=baselines, seed=seed),
        ))  # fmt: skip
    return curves


def _mean(curves: Sequence[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Point by point, the means of accuracy and macro-F1 over curves that have the same points."""
    means = []
    for points in zip(*curves, strict=True):
        mean = {name: float(np.mean([point[name] for point in points])) for name in ("accuracy", "macro_f1")}
        means.append({**points[0], **mean})
    return means


def _measures(codes: np.ndarray, calls: np.ndarray, cell_types: Sequence[str]) -> dict[str, float]:
    measured = evaluate(codes, calls, cell_types)
    return {name: measured[name] for name in ("accuracy", "macro_f1")}


def _estimate(interval: Interval) -> dict[str, Any]:
    return interval._asdict()
