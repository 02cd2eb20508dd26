"""The largest changes of markers as a picture: a dot for each gene, and its interval over donors as a line."""

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from ..markers.marker_changes import GAINED, KEPT, LOST, NOT_COMPARED, STRONGER, UNDECIDED, WEAKER
from .figure_style import GREY, PALE, new_figure, plain, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

STYLES = {
    GAINED: ("#D55E00", "^"),
    STRONGER: ("#E69F00", "^"),
    LOST: ("#0072B2", "v"),
    WEAKER: ("#56B4E9", "v"),
    KEPT: ("#009E73", "s"),
    UNDECIDED: (GREY, "o"),
}
"""Colour, of the palette of Okabe and Ito, and shape of each verdict. What is not decided is hollow."""
MOST_ROWS = 60
"""Genes of one comparison, over all types."""
COLUMNS = 3


def compare_figure(table: pd.DataFrame, *, top: int = 5) -> "Figure":
    """A panel for each condition, in it the `top` genes of each type, fewer when there are many types.

    `table`: as `compare_conditions` gives it. Beside each gene stand its log2 fold changes, reference -> condition.
    """
    pairs = list(table[["condition", "reference"]].drop_duplicates().itertuples(index=False, name=None))
    panels = [_rows(table[table["condition"] == name], top) for name, _ in pairs]
    n_columns = COLUMNS if len(panels) > 4 else min(len(panels), 2)
    lines = [panels[start : start + n_columns] for start in range(0, len(panels), n_columns)]
    heights = [0.19 * max(max(map(len, line)), 4) + 1.2 for line in lines]
    figure = new_figure(5.4 * n_columns + 0.3, sum(heights) + 0.7)
    grid = figure.subplots(len(lines), n_columns, squeeze=False, gridspec_kw={"height_ratios": heights})
    largest = [float(rows["change"].abs().max()) for rows in panels if rows["change"].notna().any()]
    limit = max(1.25 * max(largest, default=1.0), 1.5)
    for place, (condition, reference) in enumerate(pairs):
        axes = grid[place // n_columns, place % n_columns]
        _draw(axes, panels[place], limit=limit, n_lines=max(map(len, lines[place // n_columns])))
        missing = table[(table["condition"] == condition) & (table["verdict"] == NOT_COMPARED)]["cell_type"]
        title = f"{short([condition])[0]} against {short([reference])[0]}"
        if len(missing):
            title += f"\nnot compared: {', '.join(short(missing.tolist()[:3]))}{', …' if len(missing) > 3 else ''}"
        axes.set_title(title, fontsize=9)
    for axes in grid.ravel()[len(panels) :]:
        axes.set_visible(False)
    shown = [name for name in STYLES if any((rows["verdict"] == name).any() for rows in panels)]
    handles = [_mark(grid[0, 0], [], [], name)[0] for name in shown]
    for handle, name in zip(handles, shown, strict=True):
        handle.set_label(name)
    if handles:
        with_interval = any(rows["change_low"].notna().any() for rows in panels)
        what = "line: interval over donors, cut at the frame" if with_interval else "no intervals: they take donors"
        figure.legend(
            handles=handles,
            title=what,
            loc="outside lower center",
            ncols=len(handles),
            frameon=False,
            fontsize=8,
            title_fontsize=8,
        )
    return figure


def _rows(table: pd.DataFrame, top: int) -> pd.DataFrame:
    """The lines of one panel from top to bottom: a heading (without gene) and the first genes of each type."""
    compared = table[table["gene_symbol"].notna()]
    cell_types = pd.unique(compared["cell_type"])
    top = max(1, min(top, MOST_ROWS // max(len(cell_types), 1)))
    lines: list[dict[Hashable, Any]] = []
    for cell_type in cell_types:
        lines.append({"cell_type": cell_type})
        lines += compared[compared["cell_type"] == cell_type].head(top).to_dict("records")
    return pd.DataFrame(lines, columns=table.columns).astype({"change": float, "change_low": float})


def _mark(axes: "Axes", x: object, y: object, verdict: str) -> "list[Line2D]":
    colour, shape = STYLES.get(verdict, STYLES[UNDECIDED])
    face = "white" if verdict == UNDECIDED else colour
    return axes.plot(x, y, shape, color=colour, markersize=5, markerfacecolor=face)  # type: ignore[arg-type]


def _draw(axes: "Axes", rows: pd.DataFrame, *, limit: float, n_lines: int) -> None:
    """One panel. `n_lines`: of the highest panel beside it, so that lines are equally spaced in all."""
    labels = []
    for place, row in enumerate(rows.to_dict("records")):
        if pd.isna(row["gene_symbol"]):
            labels.append(short([row["cell_type"]])[0])
            axes.axhspan(place - 0.5, place + 0.5, color=PALE, alpha=0.6, zorder=0)
            continue
        labels.append(short([row["gene_symbol"]])[0])
        if not np.isnan(row["change_low"]):
            colour, _ = STYLES.get(row["verdict"], STYLES[UNDECIDED])
            axes.plot([row["change_low"], row["change_high"]], [place, place], color=colour, linewidth=1.2)
        _mark(axes, row["change"], place, row["verdict"])
        effects = (row["log2_fold_change_reference"], row["log2_fold_change_condition"])
        text = " → ".join(f"{value + 0.0:.1f}".replace("-0.0", "0.0") for value in effects)
        axes.annotate(text, (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize=7, color=GREY)
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels=labels, fontsize=7)
    for label, gene in zip(axes.get_yticklabels(), rows["gene_symbol"], strict=True):
        label.set_fontweight("bold" if pd.isna(gene) else "normal")
    axes.tick_params(axis="y", length=0)
    axes.set(
        xlim=(-limit, limit), ylim=(max(n_lines, 1) - 0.5, -0.5), xlabel="change of log2 fold change, type against rest"
    )
    axes.annotate("log2FC", (1.01, 1.0), xycoords="axes fraction", va="bottom", fontsize=7, color=GREY)
    plain(axes)
