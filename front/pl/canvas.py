"""What all pictures share: axes, colours of types, names that fit."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import LabelError, SetupError

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

INSTALL_PLOT = "pip install 'cellmark[plot]'"
LINE = 0.28
"""Inches that a row takes."""
LONGEST_NAME = 32


def axes_for(ax: "Axes | None", name: str, *, width: float, height: float) -> "Axes":
    """`ax`, or the axes of a new figure of pyplot's, in inches. Raises `SetupError` without matplotlib."""
    if find_spec("matplotlib") is None:
        raise SetupError.of(
            "EXTRA_MISSING",
            where=f"cm.pl.{name}",
            expected="the extra plot",
            found="no matplotlib",
            remedy=f"Install it with: {INSTALL_PLOT}",
        )
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    _, made = plt.subplots(figsize=(width, height), layout="constrained")
    return made


def rows_high(n_rows: int) -> float:
    """Inches that so many rows take, with the axis below them."""
    return 0.9 + LINE * max(n_rows, 2)


def column_of(adata: "AnnData", column: str, *, where: str, remedy: str) -> "pd.Series":
    """A column of `obs`, as categories. Raises `LabelError` where there is none."""
    if column not in adata.obs:
        raise LabelError.of(
            "LABEL_COLUMN_UNKNOWN",
            where=where,
            expected=f"the column {column!r} in obs",
            found=", ".join(map(str, adata.obs.columns)) or "no columns",
            remedy=remedy,
        )
    series: pd.Series = adata.obs[column].astype("category")
    return series


def calls_of(adata: "AnnData", key: str) -> "pd.Series":
    """The called types, as categories. Raises `LabelError` where there are none."""
    remedy = f"Make them: cm.tl.annotate(adata, model=..., key_added={key!r})"
    return column_of(adata, f"{key}_cell_type", where="key", remedy=remedy)


def colors_of(adata: "AnnData", column: str, categories: Sequence[str]) -> dict[str, str]:
    """A colour for each category: scanpy's of the column, where it has them, else from its palettes."""
    from cellmark.serving.outputs.type_colors import type_colors

    given = adata.uns.get(f"{column}_colors")
    if given is not None and len(given) == len(categories):
        return dict(zip(categories, map(str, given), strict=True))
    made = type_colors([name for name in categories if name != UNASSIGNED])
    return {name: made[name] for name in categories}


def short(names: Sequence[Any]) -> list[str]:
    """Names shortened in the middle, since subtypes differ at their end; a dollar sign starts no formula."""
    half = LONGEST_NAME // 2
    texts = [text if len(text) <= LONGEST_NAME else f"{text[:half]}…{text[-half:]}" for text in map(str, names)]
    return [text.replace("$", r"\$") for text in texts]


def name_rows(axes: "Axes", names: Sequence[Any]) -> None:
    """Names on the left, the first at the top; no lines above and to the right."""
    axes.set_yticks(range(len(names)), labels=short(names))
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.spines[["top", "right"]].set_visible(False)
