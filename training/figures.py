"""Figures of a training run, from numbers alone; readable with thirty types and for colour-blind readers."""

from collections.abc import Sequence
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .fit import Epoch

BLUE, ORANGE, GREY = "#0072B2", "#D55E00", "#595959"
"""Of the palette of Okabe and Ito."""
SHARES, EXPRESSION = "Blues", "cividis_r"
"""Colour maps whose lightness rises or falls throughout."""
DPI = 130
LONGEST_LABEL = 32
MOST_MARKERS = 60
"""Rows of the figure of markers, over all types."""


def confusion_figure(confusion: Sequence[Sequence[int]], cell_types: Sequence[str], *, part: str = "test") -> "Figure":
    """Labels in rows, calls in columns; the colour is the share of a label's cells, the number is their count.

    `confusion`: cells, types x types.
    """
    counts = np.asarray(confusion, dtype=float).reshape(len(cell_types), len(cell_types))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = _short(cell_types)
    size = max(4.5, 0.38 * len(names) + 2.6)
    figure = _figure(size + 0.8, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap=SHARES, vmin=0, vmax=1)
    _label_axis(axes.xaxis, names, rotation=0 if len(names) <= 4 and max(map(len, names)) <= 12 else 90)
    _label_axis(axes.yaxis, names)
    small = 9 if len(names) <= 12 else 6
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = shares[row, column] > 0.55
        axes.text(column, row, f"{counts[row, column]:.0f}", ha="center", va="center", fontsize=small,
                  color="white" if dark else "black")  # fmt: skip
    axes.set(xlabel="called cell type", ylabel="label", title=f"Calls on {counts.sum():,.0f} {part} cells")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the label's cells")
    return figure


def per_type_figure(per_type: dict[str, dict[str, Any]], *, part: str = "test") -> "Figure":
    """F1 of every type as a bar, the worst on top, and the number of its cells. `per_type`: as `evaluate` gives."""
    rows = sorted(per_type.items(), key=lambda row: (-row[1]["f1"], row[0]))
    names = _short([name for name, _ in rows])
    figure = _figure(7.5, max(2.5, 0.28 * len(rows) + 1.4))
    axes = figure.add_subplot()
    axes.barh(range(len(rows)), [row["f1"] for _, row in rows], color=BLUE, height=0.7)
    _label_axis(axes.yaxis, names)
    for place, (_, row) in enumerate(rows):
        axes.text(1.02, place, f"{row['f1']:.3f}  ({row['support']:,})", va="center", fontsize=8, color=GREY)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(rows) - 0.4), xlabel="F1", title=f"F1 per cell type (cells) on {part} cells")
    _plain(axes)
    return figure


def learning_figure(epochs: Sequence["Epoch"], *, best_epoch: int) -> "Figure":
    """Losses, and accuracy and macro-F1 on validation cells, per epoch; a line marks the epoch that was kept."""
    figure = _figure(9, 3.8)
    loss, quality = figure.subplots(1, 2)
    numbers = [epoch.number for epoch in epochs]
    mark = {"marker": "o", "markersize": 3} if len(epochs) <= 30 else {}
    loss.plot(numbers, [epoch.train_loss for epoch in epochs], "--", color=ORANGE, label="training cells", **mark)
    loss.plot(numbers, [epoch.validation_loss for epoch in epochs], color=BLUE, label="validation cells", **mark)
    loss.set(xlabel="epoch", ylabel="weighted cross-entropy", title="Loss")
    loss.set_ylim(bottom=0)
    quality.plot(numbers, [epoch.validation_accuracy for epoch in epochs], color=BLUE, label="accuracy", **mark)
    quality.plot(numbers, [epoch.validation_macro_f1 for epoch in epochs], "--", color=ORANGE, label="macro-F1", **mark)
    quality.set(xlabel="epoch", ylabel="accuracy, macro-F1", title="Validation cells", ylim=(0, 1.02))
    for axes in (loss, quality):
        axes.axvline(best_epoch, color=GREY, linestyle=":", label=f"kept: epoch {best_epoch}")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8)
        _plain(axes)
    return figure


def markers_figure(markers: pd.DataFrame, *, top: int = 5) -> "Figure":
    """The best genes of every type in all types: a dot's size is the fraction of cells expressing the gene, its colour
    the mean expression as a share of the gene's largest.

    `markers`: the marker table. `top`: genes of each type; fewer when there are many types.
    """
    cell_types = list(pd.unique(markers["cell_type"]))
    top = max(1, min(top, MOST_MARKERS // max(len(cell_types), 1)))
    best = markers[markers["rank"] <= top].sort_values("rank", kind="stable")
    genes = list(pd.unique(pd.concat([best.loc[best["cell_type"] == name, "gene_symbol"] for name in cell_types])))
    shown = markers[markers["gene_symbol"].isin(genes)]
    mean, fraction = (
        shown.pivot_table(index="gene_symbol", columns="cell_type", values=name, observed=True)
        .reindex(index=genes, columns=cell_types)
        .fillna(0)
        .to_numpy(dtype=float)
        for name in ("mean_in", "fraction_in")
    )
    relative = mean / np.maximum(mean.max(axis=1, keepdims=True), 1e-9)
    figure = _figure(max(5.0, 0.34 * len(cell_types) + 3.6), max(3.0, 0.2 * len(genes) + 2.4))
    axes = figure.add_subplot()
    rows, columns = np.indices(relative.shape)
    dots = axes.scatter(
        columns.ravel(), rows.ravel(), s=2 + 75 * fraction.ravel(), c=relative.ravel(), cmap=EXPRESSION, vmin=0, vmax=1,
        edgecolors=GREY, linewidths=0.3,
    )  # fmt: skip
    _label_axis(axes.xaxis, _short(cell_types), rotation=90)
    _label_axis(axes.yaxis, _short(genes))
    axes.set(xlim=(-0.6, len(cell_types) - 0.4), ylim=(len(genes) - 0.4, -0.6), xlabel="cell type", ylabel="gene",
             title=f"Top {top} markers of each type" if top > 1 else "Best marker of each type")  # fmt: skip
    figure.colorbar(dots, ax=axes, shrink=0.5, label="mean expression, share of the gene's largest")
    sizes = [axes.scatter([], [], s=2 + 75 * share, color=GREY, label=f"{share:.0%}") for share in (0.1, 0.5, 1.0)]
    figure.legend(
        handles=sizes, title="cells expressing", loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return figure


def png(figure: "Figure") -> bytes:
    """A figure as PNG; the same figure gives the same bytes."""
    buffer = BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, metadata={"Software": None})
    return buffer.getvalue()


def _figure(width: float, height: float) -> "Figure":
    # A figure of its own: pyplot would keep it, and choose a window system.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _label_axis(axis: Any, names: Sequence[str], *, rotation: int = 0) -> None:
    axis.set_ticks(range(len(names)), labels=names, rotation=rotation, fontsize=9 if len(names) <= 20 else 7)


def _plain(axes: "Axes") -> None:
    axes.spines[["top", "right"]].set_visible(False)


def _short(names: Sequence[str]) -> list[str]:
    # Shortened in the middle: names of subtypes differ at their end. A dollar sign would start a formula.
    half = LONGEST_LABEL // 2
    short = [name if len(name) <= LONGEST_LABEL else f"{name[:half]}…{name[-half:]}" for name in map(str, names)]
    return [name.replace("$", r"\$") for name in short]
