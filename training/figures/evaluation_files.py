"""Tables, figures and flat metrics of the manifest's evaluation, as a run keeps them in MLflow."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pydantic import BaseModel

from cellmark.schemas.manifest.manifest_evaluation import EvaluationEntry

from .figure_style import BLUE, ORANGE, new_figure, plain

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ESTIMATES = (
    "accuracy", "macro_f1", "baseline_accuracy", "baseline_macro_f1", "test_accuracy", "test_macro_f1",
    "test_baseline_accuracy", "test_baseline_macro_f1",
)  # fmt: skip
MEASURES = ("accuracy", "macro_f1")


def evaluation_metrics(entry: EvaluationEntry | None) -> dict[str, float]:
    """Flat names and numbers: `folds_macro_f1`, `folds_macro_f1_low`, `folds_baseline_macro_f1`, `depth_25_macro_f1`,
    `panel_missing_30_accuracy`, likewise the others. Nothing without an evaluation.
    """
    if entry is None:
        return {}
    flat: dict[str, float] = {}
    for name in ESTIMATES:
        estimate = getattr(entry, name)
        # Of the test part alone the plain values stand among the metrics already.
        prefix = "" if name.startswith("test_") else "folds_"
        if estimate is not None:
            ends = {"": estimate.value, "_low": estimate.low, "_high": estimate.high}
            flat |= {f"{prefix}{name}{end}": value for end, value in ends.items() if value is not None}
    for depth in entry.depth:
        flat |= {f"depth_{100 * depth.share_of_counts:.0f}_{name}": getattr(depth, name) for name in MEASURES}
    for point in entry.partial_panel:
        flat |= {f"panel_missing_{100 * point.share_missing:.0f}_{name}": getattr(point, name) for name in MEASURES}
    return flat


def evaluation_tables(entry: EvaluationEntry | None) -> dict[str, Any]:
    """Tables by their place among the artifacts; nothing without an evaluation."""
    if entry is None:
        return {}
    per_type = pd.DataFrame([{"cell_type": name, **row} for name, row in entry.per_type.items()])
    curves: dict[str, Sequence[BaseModel]] = {
        "folds": entry.per_fold,
        "depth": entry.depth,
        "partial_panel": entry.partial_panel,
        "confidence": entry.confidence,
    }
    frames = {name: pd.DataFrame([row.model_dump() for row in rows]) for name, rows in curves.items() if rows}
    return {
        "evaluation/evaluation.json": entry.model_dump(),
        "evaluation/folds_per_type.csv": per_type,
        **{f"evaluation/{name}.csv": frame for name, frame in frames.items()},
    }


def evaluation_figures(entry: EvaluationEntry | None, cell_types: list[str]) -> "dict[str, Figure]":
    """Figures by name; nothing without an evaluation."""
    from .figures import confusion_figure, per_type_figure

    if entry is None:
        return {}
    figures = {
        "baseline": baseline_figure(entry),
        "confusion_folds": confusion_figure(entry.confusion, cell_types, part="held-out"),
        "f1_folds": per_type_figure(entry.per_type, part="held-out"),
    }
    if entry.confidence:
        figures["accuracy_by_confidence"] = confidence_figure(entry)
    if entry.depth and entry.partial_panel:
        figures["poorer_input"] = poorer_input_figure(entry)
    return figures


def baseline_figure(entry: EvaluationEntry) -> "Figure":
    """Macro-F1 of network and logistic regression in each fold, and over all with its interval."""
    names = [row.fold for row in entry.per_fold]
    figure = new_figure(7.5, max(2.8, 0.32 * (len(names) + 1) + 1.6))
    axes = figure.add_subplot()
    rows = np.arange(len(names))
    axes.scatter([row.macro_f1 for row in entry.per_fold], rows, color=BLUE, marker="o", label="network", zorder=3)
    pairs = [(row.baseline_macro_f1, place) for place, row in enumerate(entry.per_fold)]
    linear = [pair for pair in pairs if pair[0] is not None]
    if linear:
        axes.scatter(*zip(*linear, strict=True), color=ORANGE, marker="D", label="logistic regression", zorder=2)
    for estimate, colour, marker, shift in (
        (entry.macro_f1, BLUE, "o", -0.12),
        (entry.baseline_macro_f1, ORANGE, "D", 0.12),
    ):
        if estimate is None:
            continue
        place = len(names) + shift
        axes.scatter([estimate.value], [place], color=colour, marker=marker, zorder=3)
        if estimate.low is not None and estimate.high is not None:
            axes.plot([estimate.low, estimate.high], [place, place], color=colour, linewidth=1.5)
    whole = "donor" if entry.folds == "donors" else "fold"
    label = f"all, 95 % over {entry.macro_f1.over}" if entry.macro_f1.over else "all"
    axes.set_yticks([*rows, len(names)], labels=[*names, label])
    axes.invert_yaxis()
    axes.set(xlabel="macro-F1", ylabel=f"{whole} held out", title="Cells held out of training")
    axes.legend(frameon=False, fontsize=8)
    low, high = axes.get_xlim()
    axes.set_xticks([tick for tick in axes.get_xticks() if low <= tick <= high])
    plain(axes)
    return figure


def confidence_figure(entry: EvaluationEntry) -> "Figure":
    """Accuracy of the most confident cells, by their share."""
    figure = new_figure(5.5, 3.6)
    axes = figure.add_subplot()
    shares = [100 * point.share_called for point in entry.confidence]
    axes.plot(shares, [point.accuracy for point in entry.confidence], color=BLUE, marker="o")
    axes.set(xlabel="most confident cells, %", ylabel="accuracy",
             title=f"Accuracy against confidence, {_cells(entry)} cells")  # fmt: skip
    axes.set_xticks([50, 60, 70, 80, 90, 100])
    low, high = axes.get_ylim()
    axes.set_yticks([tick for tick in axes.get_yticks() if low <= tick <= high])
    plain(axes)
    return figure


def poorer_input_figure(entry: EvaluationEntry) -> "Figure":
    """Accuracy and macro-F1 with fewer counts, and with genes of the panel not measured."""
    figure = new_figure(9, 3.6)
    depth, partial = figure.subplots(1, 2, sharey=True)
    curves = (
        (depth, [(point.share_of_counts, point) for point in entry.depth]),
        (partial, [(point.share_missing, point) for point in entry.partial_panel]),
    )
    for axes, points in curves:
        shares = [100 * share for share, _ in points]
        axes.plot(shares, [point.accuracy for _, point in points], color=BLUE, marker="o", label="accuracy")
        axes.plot(shares, [point.macro_f1 for _, point in points], "--", color=ORANGE, marker="s", label="macro-F1")
        axes.set_xticks(shares)
        plain(axes)
    depth.set(xlabel="share of the counts, %", ylabel="accuracy, macro-F1",
              title=f"Shallow sequencing, {_cells(entry)} cells",
              yticks=[0, 0.2, 0.4, 0.6, 0.8, 1], ylim=(0, 1.02))  # fmt: skip
    depth.legend(frameon=False, fontsize=8, loc="lower right")
    partial.set(xlabel="genes of the panel not measured, %", ylabel="accuracy, macro-F1",
                title=f"Partial panel, {_cells(entry)} cells")  # fmt: skip
    return figure


def _cells(entry: EvaluationEntry) -> str:
    return "test" if entry.evaluated_on == "test" else "held-out"
