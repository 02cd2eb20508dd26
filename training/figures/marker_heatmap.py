"""The top markers cell by cell: genes in rows, cells in columns, both in the order of the types."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.draw_cells import draw_cells
from ..markers.top_markers import group_edges, top_markers, top_title
from .figure_style import CELLS, GREY, label_axis, length, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 90
PER_TYPE, MOST_CELLS = 60, 2400
"""Cells drawn: of one type, and of all."""
BLOCK = 60
"""Columns of the image that each type takes, however many cells it has."""
PERCENTILE = 99


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
    largest = np.percentile(image, PERCENTILE, axis=1, keepdims=True)
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
        label=f"ln(1 + counts per 10,000), share of the gene's {PERCENTILE}th percentile\n"
        f"up to {PER_TYPE} cells of each type, drawn by chance",
    )
    return figure


def _block(values: np.ndarray) -> np.ndarray:
    """Cells of one type, repeated to the width of a block. `values`: genes x cells."""
    return values[:, np.arange(BLOCK) * values.shape[1] // BLOCK]
