"""Which types are called which."""

from typing import TYPE_CHECKING, Any

import numpy as np

from cellmark.schemas.columns import UNS_KEY
from cellmark.schemas.errors import ParameterError

from ..said_in_python import speaks_python
from .canvas import LINE, axes_for, calls_of, column_of, short

if TYPE_CHECKING:
    from anndata import AnnData
    from matplotlib.axes import Axes

    from ..model import Model

MOST_NUMBERS = 16
"""Types up to which each field shows its share."""


@speaks_python
def confusion(
    cells: "AnnData | Model", *, label: str | None = None, key: str = UNS_KEY, ax: "Axes | None" = None
) -> "Axes":
    """Rows: labels; columns: calls; shares of each row. Of an annotated AnnData and its `label`, a column of `obs`, or
    of a model's test cells.

    `key`: the `key_added` of `cm.tl.annotate`. Raises `LabelError` for cells without calls or labels, `ParameterError`
    for a model without test cells.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model)
    >>> cm.pl.confusion(adata, label="cell_type").get_ylabel()
    'label'
    >>> cm.pl.confusion(model).get_xlabel()
    'call'
    """
    rows, columns, counts = _of_cells(cells, label, key) if hasattr(cells, "obs") else _of_model(cells)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes = axes_for(ax, "confusion", width=2.6 + LINE * 1.4 * len(columns), height=2 + LINE * 1.2 * len(rows))
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axes.set_xticks(range(len(columns)), labels=short(columns), rotation=90)
    axes.set_yticks(range(len(rows)), labels=short(rows))
    if max(len(rows), len(columns)) <= MOST_NUMBERS:
        for row, column in np.argwhere(shares >= 0.005):
            color = "white" if shares[row, column] > 0.55 else "black"
            text = f"{100 * shares[row, column]:.0f}"
            axes.text(column, row, text, ha="center", va="center", color=color, fontsize="small")
        axes.set_title("% of each label", fontsize="small", loc="left")
    axes.set_xlabel("call")
    axes.set_ylabel("label")
    return axes


def _of_cells(adata: Any, label: str | None, key: str) -> tuple[list[str], list[str], np.ndarray]:
    """Labels, calls, and how many cells have both. The types that both know are in one order."""
    if label is None:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="label",
            expected="the column of obs with the labels",
            found="none",
            remedy="Name it with label=.",
        )
    calls = calls_of(adata, key).cat.remove_unused_categories()
    labels = column_of(adata, label, where="label", remedy="Name the column of labels with label=.")
    labels = labels.cat.remove_unused_categories()
    rows = list(labels.cat.categories)
    columns = sorted(calls.cat.categories, key=lambda name: rows.index(name) if name in rows else len(rows))
    counts = np.zeros((len(rows), len(columns)))
    known = (labels.cat.codes.to_numpy() >= 0) & (calls.cat.codes.to_numpy() >= 0)
    place = np.array([columns.index(name) for name in calls.cat.categories])
    np.add.at(counts, (labels.cat.codes.to_numpy()[known], place[calls.cat.codes.to_numpy()[known]]), 1)
    return rows, columns, counts


def _of_model(model: Any) -> tuple[list[str], list[str], np.ndarray]:
    counts = model.metrics.get("test", {}).get("confusion")
    if not counts:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="model",
            expected="a model that was measured on test cells",
            found=f"none for {model.name}",
            remedy="Pass annotated cells, and name their labels with label=.",
        )
    return model.types, model.types, np.array(counts, dtype=float)
