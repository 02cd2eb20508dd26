"""What the values of a matrix are: raw counts, or what was made of them, judged by a sample of its cells."""

from dataclasses import replace

import numpy as np
import scipy.sparse as sp

from .continuous_values import judge_negative, judge_without_steps
from .count_steps import INVERSES, N_TELLING, CountSteps, Transform, find_steps
from .expression_kinds import ExpressionState, constant_total, log_in_words, per_in_words
from .sample_cells import clean_sample
from .whole_numbers import judge_whole_numbers

MOST_CLOSE = 0.95
"""Share of the sampled cells' different values that must be whole numbers of steps."""

SAME_STEP = 0.01
VALUES_FOR_STEPS = 500_000
FEW_MIXED = 0.5


def detect_state(X: sp.csr_matrix) -> ExpressionState:
    """The state of a sample of cells. `X`: CSR, sampled cells x genes, of any kind of numbers, never changed.

    Cells of several kinds give `mixed`, with the state of those that are not counts as `part`. Missing and infinite
    values and empty cells are passed over.
    """
    cells = clean_sample(X)
    if cells.shape[0] == 0:
        return ExpressionState("unknown", "no values at all", "unknown")
    kinds = _kinds(cells)
    present = np.unique(kinds)
    if len(present) == 1:
        return _state_of(cells, str(present[0]))
    whole = kinds == "whole"
    # Of scaled cells a few happen to have no value below zero, and of corrected ones a few kept whole numbers.
    others = cells[np.flatnonzero(~whole)]
    worst = "negative" if (kinds == "negative").sum() >= (kinds == "fractional").sum() else "fractional"
    part = _state_of(others, worst)
    n_others = others.shape[0]
    if not whole.any() or (part.name == "corrected" and whole.mean() < FEW_MIXED):
        return part
    text = f"{n_others} of {cells.shape[0]} sampled cells look like {part.text}, the others like whole counts"
    return ExpressionState("mixed", text, part.confidence, evidence=part.evidence, part=part)


def _kinds(X: sp.csr_matrix) -> np.ndarray:
    """`whole`, `fractional` or `negative` for each cell: str [cells]."""
    starts = X.indptr[:-1]
    whole = np.logical_and.reduceat(X.data == np.rint(X.data), starts)
    smallest = np.minimum.reduceat(X.data, starts)
    negative = smallest < 0
    if not whole.all():
        # Counts per 10,000 are whole where the total divides 10,000, but then no gene has a 1.
        whole &= smallest == 1
        total = constant_total(X.data, X.indptr)
        if total is not None:
            # The cell of median total is whole when all were brought to the median; `total` has four digits.
            whole[np.isclose(np.add.reduceat(X.data, starts), total, rtol=1e-3)] = False
    return np.where(negative, "negative", np.where(whole, "whole", "fractional"))


def _state_of(X: sp.csr_matrix, kind: str) -> ExpressionState:
    if kind == "negative":
        return judge_negative(X)
    if kind == "whole":
        return _whole_state(X)
    # Smoothed values are dense, and a few cells of so many values tell as much.
    few = X[:: max(X.nnz // VALUES_FOR_STEPS, 1)]
    steps = {name: _steps(few, name) for name in INVERSES if X.data.max() <= INVERSES[name].largest}
    best = max(steps, key=lambda name: steps[name].share_close)
    if steps[best].n_telling.sum() >= N_TELLING and steps[best].share_close >= MOST_CLOSE:
        return _stepped_state(few, best, steps[best])
    return judge_without_steps(X)


def _steps(X: sp.csr_matrix, transform: Transform) -> CountSteps:
    return find_steps(INVERSES[transform].undo(X.data), X.indptr)


def _whole_state(X: sp.csr_matrix) -> ExpressionState:
    found = judge_whole_numbers(X)
    evidence = (found.evidence,) if found.evidence else ()
    match found.kind:
        case "counts":
            return ExpressionState("counts", "raw counts", "likely")
        case "binary":
            return ExpressionState("binary", "0 and 1 for absent and present", "certain", evidence=evidence)
        case "multiple":
            text = f"counts x {found.factor}"
            return ExpressionState("counts_times", text, "certain", factor=float(found.factor), evidence=evidence)
        case "rounded":
            return ExpressionState("rounded", "normalised values rounded to whole numbers", "likely", evidence=evidence)
        case "rounded_log":
            text = "logarithms or roots rounded to whole numbers"
            return ExpressionState("rounded_log", text, "likely", evidence=evidence)
        case "depth_corrected":
            text = "counts corrected to one depth, as SCTransform does, or rounded after normalisation"
            return ExpressionState("depth_corrected", text, "likely", evidence=evidence)


def _stepped_state(X: sp.csr_matrix, transform: Transform, steps: CountSteps) -> ExpressionState:
    """The kind of values that are whole numbers of a step in every cell, once `transform` is undone."""
    low, middle, high = np.quantile(steps.step, [0.05, 0.5, 0.95])
    total = constant_total(INVERSES[transform].undo(X.data), X.indptr)
    same_step = high <= low * (1 + SAME_STEP)
    evidence = (f"{steps.share_close:.1%} of the values are whole multiples of one step per cell",)
    state = ExpressionState("counts_per", "", "certain", transform=transform, evidence=evidence)
    if same_step and total is None:
        if abs(middle - 1) < SAME_STEP:
            return replace(state, name="counts_transformed", text=log_in_words(transform, "counts"), factor=1.0)
        factor = float(f"{middle:.4g}")
        text = log_in_words(transform, f"counts x {factor:g}")
        return replace(
            state, name="counts_times" if transform == "none" else "counts_transformed", text=text, factor=factor
        )
    text = log_in_words(transform, per_in_words(total))
    return replace(state, name="counts_per" if transform == "none" else "transformed_counts_per", text=text, per=total)
