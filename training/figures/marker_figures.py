"""All figures of a marker table, by name."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import scipy.sparse as sp

from .contribution_matrix import contribution_figure
from .figures import markers_figure
from .marker_heatmap import heatmap_figure
from .marker_violins import violin_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
