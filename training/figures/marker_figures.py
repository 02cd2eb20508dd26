"""All figures of a marker table, by name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .figures import markers_figure
from .marker_heatmap import heatmap_figure
from .marker_violins import violin_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure
from typing import TYPE_CHECKING

from ..markers.top_markers import group_edges, top_markers, top_title, types_by_genes
from .figure_style import GREY, PALE, SIGNED, label_axis, length, new_figure, short

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
