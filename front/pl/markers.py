"""The marker genes of a model, as a dot plot."""

from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.errors import ParameterError

from ..said_in_python import speaks_python
from .canvas import LINE, axes_for, short

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from ..model import Model

LARGEST_DOT = 130
"""The dot of a gene that all of a type's cells count, in square points."""


@speaks_python
def markers(model: "Model", *, n_genes: int = 3, ax: "Axes | None" = None) -> "Axes":
    """The first `n_genes` markers of each type, in all types of the training data.

    Size: the share of the type's cells with a count; colour: mean ln(1 + counts per 10,000), each gene scaled to its
    highest type. Raises `ParameterError` for a bundle without these columns.

    Examples
    --------
    >>> [text.get_text() for text in cm.pl.markers(model, n_genes=1).get_yticklabels()]
    ['B cell', 'NK cell', 'T cell']
    """
    table = model.bundle.markers
    if not {"mean_in", "fraction_in"} <= set(table.columns) or table["mean_in"].isna().all():
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="model",
            expected="a marker table with the expression of each type",
            found=f"none in {model.name}",
            remedy="Train the model again with this version.",
        )
    first = table[table["rank"] <= n_genes]
    genes = list(
        dict.fromkeys(name for one in model.types for name in first.loc[first["cell_type"] == one, "gene_symbol"])
    )
    of_genes = table[table["gene_symbol"].isin(genes)]
    grid = of_genes.set_index(["cell_type", "gene_symbol"])
    everywhere = [(one, gene) for one in model.types for gene in genes]
    shape = (len(model.types), len(genes))
    mean = grid["mean_in"].reindex(everywhere).to_numpy(dtype=float).reshape(shape)
    share = grid["fraction_in"].reindex(everywhere).to_numpy(dtype=float).reshape(shape)
    scaled = mean / np.maximum(np.nanmax(mean, axis=0), 1e-12)
    axes = axes_for(ax, "markers", width=3.2 + LINE * len(genes), height=1.6 + LINE * len(model.types))
    y, x = np.mgrid[: shape[0], : shape[1]]
    dots = axes.scatter(
        x.ravel(),
        y.ravel(),
        s=LARGEST_DOT * np.nan_to_num(share).ravel(),
        c=scaled.ravel(),
        cmap="Reds",
        vmin=0,
        vmax=1,
        edgecolors="0.6",
        linewidths=0.4,
    )
    axes.set_xticks(range(len(genes)), labels=short(genes), rotation=90)
    axes.set_yticks(range(len(model.types)), labels=short(model.types))
    axes.set_xlim(-0.6, len(genes) - 0.4)
    axes.set_ylim(len(model.types) - 0.4, -0.6)
    bar = axes.figure.colorbar(dots, ax=axes, shrink=0.7, aspect=12, pad=0.02)
    bar.set_label("expression / highest type")
    axes.set_title("dot size: share of cells with a count", fontsize="small", loc="left")
    return axes
