"""The genes behind one call."""

from typing import TYPE_CHECKING

import numpy as np

from cellmark.schemas.errors import ParameterError

from ..said_in_python import speaks_python
from ..tl import EXPLANATION_KEY
from .canvas import axes_for, name_rows, rows_high

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData
    from matplotlib.axes import Axes

FOR, AGAINST = "#0072B2", "#D55E00"
"""Distinct with any kind of colour blindness (Okabe and Ito)."""


@speaks_python
def evidence(
    why: "pd.DataFrame | AnnData",
    cell: str | None = None,
    *,
    n_genes: int = 15,
    key: str = EXPLANATION_KEY,
    ax: "Axes | None" = None,
) -> "Axes":
    """The strongest genes of one cell's call, signed: to the right those for the type, to the left those against it.

    Beside each gene stands its count in the cell. Raises `ParameterError` for a cell that was not explained.

    Parameters
    ----------
    why
        What `model.explain` returned, or an AnnData after `cm.tl.explain`, under `key`.
    cell
        The cell's id, by default the first cell that was explained.
    n_genes
        The most genes to show.

    Examples
    --------
    >>> cm.pl.evidence(model.explain(adata[:3])).get_title()
    'cell-0-0: B cell'
    """
    import pandas as pd

    table = why if isinstance(why, pd.DataFrame) else why.uns.get(key)
    if table is None or not len(table):
        raise _not_explained(f"uns[{key!r}]", "nothing", "Explain the cells first: cm.tl.explain(adata, model=...)")
    cell = str(table["cell_id"].iloc[0]) if cell is None else cell
    rows = table[table["cell_id"].astype(str) == cell].sort_values("rank").head(n_genes)
    if not len(rows):
        raise _not_explained("cell", repr(cell), "Name the id of a cell that was explained.")
    axes = axes_for(ax, "evidence", width=6, height=rows_high(len(rows)))
    values = rows["attribution"].to_numpy(dtype=float)
    axes.barh(range(len(rows)), values, color=np.where(values > 0, FOR, AGAINST))
    axes.axvline(0, color="black", linewidth=0.8)
    counts = rows["counts"].to_numpy(dtype=float) if "counts" in rows else np.full(len(rows), np.nan)
    shown = [
        f"{gene}" if np.isnan(count) else f"{gene} ({count:g})"
        for gene, count in zip(rows["gene_symbol"], counts, strict=True)
    ]
    name_rows(axes, shown)
    first = rows.iloc[0]
    against = first.get("against")
    beside = f" and not {against}" if isinstance(against, str) else ""
    axes.set_title(f"{cell}: {first['target']}{beside}".replace("$", r"\$"), fontsize="medium", loc="center")
    axes.set_ylabel("gene (its counts in the cell)")
    axes.set_xlabel("against the type  <  attribution  >  for the type")
    return axes


def _not_explained(where: str, found: str, remedy: str) -> ParameterError:
    return ParameterError.of("PARAMETER_INVALID", where=where, expected="an explained cell", found=found, remedy=remedy)
