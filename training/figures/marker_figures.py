"""All figures of a marker table, by name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_groups import draw_cells
from ..markers.marker_ranking import group_edges, top_markers, top_title, types_by_genes
from .figure_style import CELLS, GREY, PALE, SIGNED, label_axis, length, new_figure, short
from .figures import markers_figure
from .marker_violins import violin_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


MOST_ROWS = 90
PERCENTILE = 99.5


def contribution_figure(markers: pd.DataFrame, *, top: int = 5) -> "Figure":
    """Mean contributions of the first genes of each type to every type's logit; white is 0, grey is not known.

    `markers`: the marker table; a gene stands below each type that it is among the best of.
    """
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    cell_types = list(map(str, pd.unique(markers["cell_type"])))
    best = top_markers(markers, top=top, most=MOST_ROWS)
    values = types_by_genes(markers, "mean_contribution", list(best["gene_symbol"]), cell_types)
    known = np.abs(values[~np.isnan(values)])
    limit = max(float(np.percentile(known, PERCENTILE)) if len(known) else 0.0, 1e-9)
    figure = new_figure(max(5.0, 0.3 * len(cell_types) + 4.6), 0.145 * len(best) + 1.7 + length(short(cell_types)))
    axes = figure.add_subplot()
    colours = colormaps[SIGNED].with_extremes(bad="#BBBBBB")
    image = axes.imshow(values, cmap=colours, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest")
    groups = group_edges(best)
    for name, start, end in groups:
        place = cell_types.index(name)
        corner = place - 0.5, start - 0.5
        axes.add_patch(Rectangle(corner, 1, end - start, fill=False, edgecolor=GREY, linewidth=0.9))
    axes.hlines([end - 0.5 for *_, end in groups[:-1]], -0.5, len(cell_types) - 0.5, color=PALE, linewidth=0.5)
    label_axis(axes.xaxis, short(cell_types), rotation=90)
    axes.set_yticks(range(len(best)), labels=short(list(best["gene_symbol"])), fontsize=7)
    axes.set(
        xlabel="cell type, over its correctly called cells", ylabel="gene", title=f"{top_title(best)}: contributions"
    )
    figure.colorbar(
        image,
        ax=axes,
        location="bottom",
        shrink=0.6,
        aspect=40,
        pad=0.02,
        extend="both" if known.max(initial=0) > limit else "neither",
        label="mean contribution to the type's logit (multiplier x expression)",
    )
    return figure


def marker_figures(
    markers: pd.DataFrame,
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    seed: int = 0,
) -> "dict[str, Figure]":
    """`markers` (dots), `marker_heatmap`, `marker_violins` and `marker_contributions`.

    `markers`: the marker table of these cell types and genes, of one ranking. `x`: CSR, cells x genes,
    ln(1 + counts per 10,000); `codes`: int [cells]. Without contributions in the table there is no figure of them, and
    without ranks none at all. Only the genes and cells shown are ever dense.
    """
    if not markers["rank"].notna().any():
        return {}
    figures = {
        "markers": markers_figure(markers),
        "marker_heatmap": heatmap_figure(
            markers, x, codes, cell_types=cell_types, gene_symbols=gene_symbols, seed=seed
        ),
        "marker_violins": violin_figure(markers, x, codes, cell_types=cell_types, gene_symbols=gene_symbols, seed=seed),
    }
    if "mean_contribution" in markers and markers["mean_contribution"].notna().any():
        figures["marker_contributions"] = contribution_figure(markers)
    return figures


PER_TYPE, MOST_CELLS = 60, 2400
"""Cells drawn: of one type, and of all."""
BLOCK = 60
"""Columns of the image that each type takes, however many cells it has."""
HEATMAP_PERCENTILE = 99


def heatmap_figure(
    markers: pd.DataFrame,
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    top: int = 5,
    seed: int = 0,
) -> "Figure":
    """Expression of the first genes of each type in a sample of cells of each type, a share of the gene's 99th
    percentile. Every type is equally wide, so cells of rare types are wider and seen.

    `markers`: the marker table. `x`: CSR, cells x genes as in `gene_symbols`, ln(1 + counts per 10,000). `codes`: int
    [cells], numbers of `cell_types`. Types without a cell have no columns.
    """
    best = top_markers(markers, top=top, most=MOST_ROWS)
    place = {gene: column for column, gene in enumerate(gene_symbols)}
    rows = draw_cells(codes, at_most=MOST_CELLS, per_type=PER_TYPE, seed=seed)
    values = x[rows][:, [place[gene] for gene in best["gene_symbol"]]].toarray().T
    present = np.unique(codes[rows])
    image = np.hstack([_block(values[:, codes[rows] == code]) for code in present])
    largest = np.percentile(image, HEATMAP_PERCENTILE, axis=1, keepdims=True)
    largest = np.where(largest > 0, largest, np.maximum(image.max(axis=1, keepdims=True), 1e-9))

    names = short(cell_types)
    sizes = np.bincount(codes, minlength=len(cell_types))
    ticks = [f"{names[code]} ({sizes[code]:,})" for code in present]
    figure = new_figure(max(6.0, 0.3 * len(present) + 4.4), 0.145 * len(best) + 1.9 + length(ticks))
    axes = figure.add_subplot()
    drawn = axes.imshow(
        np.clip(image / largest, 0, 1),
        cmap=CELLS,
        vmin=0,
        vmax=1,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, len(present) - 0.5, len(best) - 0.5, -0.5),
    )
    label_axis(axes.xaxis, ticks, rotation=90)
    axes.set_yticks(range(len(best)), labels=short(list(best["gene_symbol"])), fontsize=7)
    groups = group_edges(best)
    right = axes.secondary_yaxis("right")
    right.set_yticks(
        [(start + end - 1) / 2 for _, start, end in groups],
        labels=short([name for name, *_ in groups]),
        fontsize=8 if len(groups) <= 20 else 7,
    )
    right.tick_params(length=0)
    axes.annotate(
        "markers of", (1, 1), (4, 4), xycoords="axes fraction", textcoords="offset points", fontsize=8, color=GREY
    )
    axes.hlines([end - 0.5 for *_, end in groups[:-1]], -0.5, len(present) - 0.5, color=GREY, linewidth=0.5)
    axes.vlines(np.arange(len(present) - 1) + 0.5, -0.5, len(best) - 0.5, color=GREY, linewidth=0.5)
    axes.set(xlabel="cell type (cells)", ylabel="gene", title=f"{top_title(best)}, cell by cell")
    figure.colorbar(
        drawn,
        ax=axes,
        location="bottom",
        shrink=0.6,
        aspect=40,
        pad=0.02,
        label=f"ln(1 + counts per 10,000), share of the gene's {HEATMAP_PERCENTILE}th percentile\n"
        f"up to {PER_TYPE} cells of each type, drawn by chance",
    )
    return figure


def _block(values: np.ndarray) -> np.ndarray:
    """Cells of one type, repeated to the width of a block. `values`: genes x cells."""
    return values[:, np.arange(BLOCK) * values.shape[1] // BLOCK]
