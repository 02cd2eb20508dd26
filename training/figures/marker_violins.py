"""The distribution of the best markers in every type: one row of small violins for each gene."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..cells.cell_groups import draw_cells
from ..markers.marker_ranking import group_edges, top_markers, top_title
from .figure_style import BLUE, GREY, ORANGE, PALE, label_axis, length, new_figure, short

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST_ROWS = 40
PER_TYPE, MOST_CELLS = 300, 12_000
"""Cells drawn: of one type, and of all."""
FEWEST = 8
"""Cells below which a type's cells are points: a density would make up most of what it shows."""
WIDTH, HEIGHT = 0.9, 0.85
"""Width and height of a violin, as shares of its place."""
POINTS = 48


def violin_figure(
    markers: pd.DataFrame,
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    cell_types: Sequence[str],
    gene_symbols: Sequence[str],
    top: int = 2,
    seed: int = 0,
) -> "Figure":
    """Violins of the first one or two genes of each type in all types, those of the gene's own type in another colour.

    Each row goes from 0 to the gene's largest value in the cells shown, which is written beside it; all violins have
    the same largest width. The other parameters are as in `heatmap_figure`.
    """
    from matplotlib.collections import PolyCollection

    best = top_markers(markers, top=top, most=MOST_ROWS)
    place = {gene: column for column, gene in enumerate(gene_symbols)}
    rows = draw_cells(codes, at_most=MOST_CELLS, per_type=PER_TYPE, seed=seed)
    values = x[rows][:, [place[gene] for gene in best["gene_symbol"]]].toarray()
    shown_codes = codes[rows]
    largest = np.maximum(values.max(axis=0, initial=0), 1e-9)
    n_types, n_genes = len(cell_types), len(best)

    names = short(cell_types)
    figure = new_figure(max(5.5, 0.36 * n_types + 3.8), max(3.6, 0.3 * n_genes + 1.4 + length(names)))
    axes = figure.add_subplot()
    for row, cell_type in enumerate(best["cell_type"]):
        bottom = row + HEIGHT / 2
        for code in range(n_types):
            of_type = values[shown_codes == code, row] / largest[row] * HEIGHT
            colour = ORANGE if cell_types[code] == cell_type else BLUE
            if len(of_type) < FEWEST:
                spread = (
                    np.linspace(-WIDTH / 4, WIDTH / 4, len(of_type)) if len(of_type) > 1 else np.zeros(len(of_type))
                )
                axes.plot(code + spread, bottom - of_type, ".", color=colour, markersize=3, zorder=3)
            elif np.ptp(of_type) == 0:
                axes.plot(
                    code + np.array([-0.5, 0.5]) * WIDTH, bottom - of_type[:2], color=colour, linewidth=1, zorder=3
                )
            else:
                shape = PolyCollection([_violin(of_type, code, bottom)], facecolor=colour, linewidth=0, zorder=2)
                axes.add_collection(shape, autolim=False)
                middle = bottom - np.median(of_type)
                axes.plot([code - 0.12, code + 0.12], [middle, middle], color="black", linewidth=0.8, zorder=4)
        axes.text(n_types - 0.4, row, f"{largest[row]:.1f}", va="center", fontsize=7, color=GREY, clip_on=False)
    axes.hlines(np.arange(n_genes) + HEIGHT / 2, -0.5, n_types - 0.5, color=PALE, linewidth=0.8, zorder=1)
    for _, _, end in group_edges(best)[:-1]:
        axes.axhline(end - 0.5, color=GREY, linewidth=0.4)
    label_axis(axes.xaxis, names, rotation=90)
    axes.set_yticks(range(n_genes), labels=short(list(best["gene_symbol"])), fontsize=8 if n_genes <= 30 else 7)
    axes.tick_params(axis="y", length=0)
    axes.set(
        xlim=(-0.5, n_types - 0.5),
        ylim=(n_genes - 0.5, -0.5),
        xlabel="cell type",
        ylabel="gene, from 0 to the value on the right: ln(1 + counts per 10,000)",
        title=f"{top_title(best)} in all types",
    )
    axes.text(n_types - 0.4, -0.75, "largest", va="bottom", fontsize=7, color=GREY, clip_on=False)
    handles = [
        *axes.fill([], [], color=ORANGE, label="the type that the gene marks"),
        *axes.fill([], [], color=BLUE, label="other types"),
        *axes.plot([], [], color="black", linewidth=0.8, label="median"),
        *axes.plot([], [], ".", color=BLUE, markersize=5, label=f"cells, where fewer than {FEWEST}"),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2, frameon=False, fontsize=8)
    return figure


def _violin(values: np.ndarray, centre: float, bottom: float) -> np.ndarray:
    """Outline of a kernel density within the range of the values, [points, 2], upwards from `bottom`."""
    from scipy.stats import gaussian_kde

    spread = np.std(values, ddof=1)
    # Scott's rule alone would draw the zeros of a gene that few cells express as a line without a width.
    scott = len(values) ** -0.2
    density = gaussian_kde(values, bw_method=max(scott, 0.03 * HEIGHT / spread))
    grid = np.linspace(values.min(), values.max(), POINTS)
    width = density(grid)
    half = 0.5 * WIDTH * width / width.max()
    return np.column_stack([np.r_[centre - half, (centre + half)[::-1]], bottom - np.r_[grid, grid[::-1]]])
