"""How confident calls are."""

from typing import TYPE_CHECKING

from cellmark.schemas.columns import UNS_KEY

from ..said_in_python import speaks_python
from .canvas import axes_for, calls_of, colors_of, name_rows, rows_high

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes


@speaks_python
def confidence(adata: "AnnData", *, key: str = UNS_KEY, ax: "Axes | None" = None) -> "Axes":
    """The confidence of each called type's cells: median, quartiles, and 5 to 95 % as whiskers; the largest type first.

    `key`: the `key_added` of `cm.tl.annotate`. Raises `LabelError` for cells without calls.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model)
    >>> cm.pl.confidence(adata).get_xlabel()
    'confidence'
    """
    calls = calls_of(adata, key)
    values = adata.obs[f"{key}_confidence"].to_numpy(dtype=float)
    sizes = calls.value_counts()
    names = [name for name in sizes.index if sizes[name]]
    colors = colors_of(adata, f"{key}_cell_type", list(calls.cat.categories))
    axes = axes_for(ax, "confidence", width=6, height=rows_high(len(names)))
    drawn = axes.boxplot(
        [values[(calls == name).to_numpy()] for name in names],
        orientation="horizontal",
        positions=range(len(names)),
        widths=0.6,
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for box, name in zip(drawn["boxes"], names, strict=True):
        box.set_facecolor(colors[name])
    name_rows(axes, [f"{name} ({sizes[name]:,})" for name in names])
    axes.set_xlim(0, 1.02)
    axes.set_xlabel("confidence")
    return axes
