"""Figures of a training run, from numbers alone; readable with thirty types and colour-blind."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from ..markers.marker_ranking import group_edges, top_markers, top_title, types_by_genes
from .figure_style import (
    BLUE,
    EXPRESSION,
    GREY,
    ORANGE,
    PALE,
    SHARES,
    label_axis,
    length,
    new_figure,
    plain,
    short,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ..network.fit import Epoch


MOST_MARKERS = 60
"""Rows of the figure of markers, over all types."""


def confusion_figure(confusion: Sequence[Sequence[int]], cell_types: Sequence[str], *, part: str = "test") -> "Figure":
    """Labels in rows, calls in columns; the colour is the share of a label's cells, the number is their count.

    `confusion`: cells, types x types.
    """
    counts = np.asarray(confusion, dtype=float).reshape(len(cell_types), len(cell_types))
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = short(cell_types)
    size = max(4.5, 0.38 * len(names) + 2.6)
    figure = new_figure(size + 0.8, size)
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap=SHARES, vmin=0, vmax=1)
    label_axis(axes.xaxis, names, rotation=0 if len(names) <= 4 and max(map(len, names)) <= 12 else 90)
    label_axis(axes.yaxis, names)
    small = 9 if len(names) <= 12 else 6
    for row, column in zip(*np.nonzero(counts), strict=True):
        dark = shares[row, column] > 0.55
        axes.text(
            column,
            row,
            f"{counts[row, column]:.0f}",
            ha="center",
            va="center",
            fontsize=small,
            color="white" if dark else "black",
        )
    axes.set(xlabel="called cell type", ylabel="label", title=f"Calls on {counts.sum():,.0f} {part} cells")
    figure.colorbar(image, ax=axes, shrink=0.7, label="share of the label's cells")
    return figure


def learning_figure(
    epochs: Sequence["Epoch"], *, best_epoch: int, members: Sequence[Sequence["Epoch"]] = ()
) -> "Figure":
    """Losses, and accuracy and macro-F1 on validation cells, per epoch; a line marks the epoch that was kept.

    Where no cells were kept aside, the loss of training cells alone.

    `members`: the epochs of each network of an ensemble, drawn as thin lines; `epochs` are then their means, and
    `best_epoch` their median.
    """
    judged = any("validation_loss" in epoch.measures() for epoch in epochs)
    figure = new_figure(9 if judged else 5, 3.8)
    loss, *qualities = figure.subplots(1, 2 if judged else 1, squeeze=False)[0]
    curves = [(loss, "train_loss", "training cells", ORANGE, "--")]
    for quality in qualities:
        curves += [
            (loss, "validation_loss", "validation cells", BLUE, "-"),
            (quality, "validation_accuracy", "accuracy", BLUE, "-"),
            (quality, "validation_macro_f1", "macro-F1", ORANGE, "--"),
        ]
    several = len(members) > 1
    mark = {} if several or len(epochs) > 30 else {"marker": "o", "markersize": 3}
    for axes, measure, name, colour, line in curves:
        for of_member in members if several else ():
            numbers = [epoch.number for epoch in of_member]
            axes.plot(numbers, [getattr(epoch, measure) for epoch in of_member], color=colour, linewidth=0.6, alpha=0.4)
        numbers = [epoch.number for epoch in epochs]
        axes.plot(
            numbers,
            [getattr(epoch, measure) for epoch in epochs],
            line,
            color=colour,
            label=name,
            linewidth=2.0 if several else 1.5,
            **mark,
        )
    loss.set(xlabel="epoch", ylabel="weighted cross-entropy", title="Loss")
    loss.set_ylim(bottom=0)
    for quality in qualities:
        quality.set(xlabel="epoch", ylabel="accuracy, macro-F1", title="Validation cells", ylim=(0, 1.02))
    for axes in (loss, *qualities):
        kept = f"kept, median: epoch {best_epoch}" if several else f"kept: epoch {best_epoch}"
        axes.axvline(best_epoch, color=GREY, linestyle=":", label=kept)
        if several:
            axes.plot([], [], color=GREY, linewidth=0.6, label=f"each of {len(members)} networks")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(frameon=False, fontsize=8)
        plain(axes)
    return figure


def markers_figure(markers: pd.DataFrame, *, top: int = 5) -> "Figure":
    """The best genes of every type in all types: a dot's size is the fraction of cells expressing the gene, its colour
    the mean expression as a share of the gene's largest. A gene stands below each type that it is among the best of.

    `markers`: the marker table. `top`: genes of each type; fewer when there are many types.
    """
    cell_types = list(map(str, pd.unique(markers["cell_type"])))
    best = top_markers(markers, top=top, most=MOST_MARKERS)
    genes = list(best["gene_symbol"])
    mean, fraction = (
        np.nan_to_num(types_by_genes(markers, name, genes, cell_types)) for name in ("mean_in", "fraction_in")
    )
    relative = mean / np.maximum(mean.max(axis=1, keepdims=True), 1e-9)
    figure = new_figure(max(5.0, 0.34 * len(cell_types) + 3.6), 0.2 * len(genes) + 1.5 + length(short(cell_types)))
    axes = figure.add_subplot()
    rows, columns = np.indices(relative.shape)
    for name, start, end in group_edges(best):
        place = cell_types.index(name)
        axes.fill_between([place - 0.5, place + 0.5], start - 0.5, end - 0.5, color=PALE, linewidth=0, zorder=0)
    dots = axes.scatter(
        columns.ravel(),
        rows.ravel(),
        s=2 + 75 * fraction.ravel(),
        c=relative.ravel(),
        cmap=EXPRESSION,
        vmin=0,
        vmax=1,
        edgecolors=GREY,
        linewidths=0.3,
    )
    label_axis(axes.xaxis, short(cell_types), rotation=90)
    label_axis(axes.yaxis, short(genes))
    axes.set(
        xlim=(-0.6, len(cell_types) - 0.4),
        ylim=(len(genes) - 0.4, -0.6),
        xlabel="cell type",
        ylabel="gene",
        title=top_title(best),
    )
    figure.colorbar(dots, ax=axes, shrink=0.5, label="mean ln(1 + counts per 10,000), share of the gene's largest")
    sizes = [axes.scatter([], [], s=2 + 75 * share, color=GREY, label=f"{share:.0%}") for share in (0.1, 0.5, 1.0)]
    figure.legend(
        handles=sizes, title="cells expressing", loc="outside lower center", ncols=3, frameon=False, fontsize=8
    )
    return figure


METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


def tuning_figure(trials: pd.DataFrame, *, metric: str, best_number: int | None) -> "Figure":
    """Values of complete and pruned trials, the best so far as a line, and the trial that was chosen.

    `trials`: as `trials_frame` gives. A pruned trial's value is that of its last epoch. Failed ones have none.
    """
    from matplotlib.ticker import MaxNLocator

    figure = new_figure(7.5, 3.8)
    axes = figure.add_subplot()
    complete, pruned = (trials[trials["state"] == state] for state in ("complete", "pruned"))
    axes.plot(pruned["number"], pruned["value"], "x", color=GREY, markersize=5, label=f"pruned ({len(pruned)})")
    axes.plot(complete["number"], complete["value"], "o", color=BLUE, markersize=5, label=f"complete ({len(complete)})")
    if len(complete):
        numbers, best = complete["number"].to_numpy(), np.maximum.accumulate(complete["value"].to_numpy(dtype=float))
        last = max(int(trials["number"].max()), int(numbers[-1]))
        axes.step(np.append(numbers, last), np.append(best, best[-1]), where="post", color=ORANGE, label="best so far")
    if best_number is not None:
        (value,) = trials.loc[trials["number"] == best_number, "value"]
        axes.plot(
            [best_number],
            [value],
            "o",
            color="none",
            markeredgecolor=ORANGE,
            markersize=12,
            markeredgewidth=1.5,
            label=f"chosen: trial {best_number} ({value:.3f})",
        )
    axes.set(xlabel="trial", ylabel=f"{METRICS[metric]} on validation cells", title=f"Search over {len(trials)} trials")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5))
    plain(axes)
    return figure
