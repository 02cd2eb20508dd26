"""How many cells of each type there are."""

from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.columns import UNS_KEY

from ..said_in_python import speaks_python
from .canvas import axes_for, calls_of, colors_of, column_of, name_rows, rows_high, short

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


@speaks_python
def composition(
    adata: "AnnData", *, groupby: str | None = None, key: str = UNS_KEY, ax: "Axes | None" = None
) -> "Axes":
    """The share of cells of each called type; with `groupby`, a column of `obs` such as the sample, a bar per group.

    `key`: the `key_added` of `cm.tl.annotate`. Raises `LabelError` for cells without calls or without that column.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model)
    >>> cm.pl.composition(adata, groupby="donor").get_xlabel()
    'share of cells'
    """
    calls = calls_of(adata, key)
    colors = colors_of(adata, f"{key}_cell_type", list(calls.cat.categories))
    sizes = calls.value_counts()
    types = [name for name in sizes.index if sizes[name]]
    if groupby is None:
        axes = axes_for(ax, "composition", width=6, height=rows_high(len(types)))
        shares = [sizes[name] / len(calls) for name in types]
        bars = axes.barh(range(len(types)), shares, color=[colors[name] for name in types])
        axes.bar_label(bars, [f"{sizes[name]:,}" for name in types], padding=3)
        axes.margins(x=0.12)
        name_rows(axes, types)
    else:
        groups = column_of(adata, groupby, where="groupby", remedy="Name the column of samples with groupby=.")
        names = list(groups.cat.remove_unused_categories().cat.categories)
        axes = axes_for(ax, "composition", width=8, height=max(rows_high(len(names)), 0.6 + 0.2 * len(types)))
        of_group = np.array([[(calls[groups == name] == one).sum() for one in types] for name in names], dtype=float)
        shares_of = of_group / of_group.sum(axis=1, keepdims=True)
        left = np.zeros(len(names))
        for column, one in enumerate(types):
            axes.barh(range(len(names)), shares_of[:, column], left=left, color=colors[one], label=short([one])[0])
            left += shares_of[:, column]
        name_rows(axes, [f"{name} ({int(n):,})" for name, n in zip(names, of_group.sum(axis=1), strict=True)])
        axes.set_xlim(0, 1)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize="small")
    axes.set_xlabel("share of cells")
    return axes
