"""What was written into an AnnData, as tables: `cm.get`."""

from typing import TYPE_CHECKING

from cellmark.schemas.columns import CELL_ID, UNS_KEY
from cellmark.schemas.errors import LabelError

from .said_in_python import speaks_python
from .written_calls import KNOWN, renamed

if TYPE_CHECKING:
    import pandas as pd
    from anndata import AnnData


@speaks_python
def calls_df(adata: "AnnData", *, key: str = UNS_KEY) -> "pd.DataFrame":
    """The calls in `obs`, indexed by cell id, with the columns of `cellmark annotate`'s tables whatever `key` is.

    Raises `LabelError` (`LABEL_COLUMN_UNKNOWN`) where there are none.

    Examples
    --------
    >>> cm.tl.annotate(adata, model=model)
    >>> cm.get.calls_df(adata).columns[:2].tolist()
    ['cellmark_cell_type', 'cellmark_best_cell_type']
    """
    own = {renamed(name, UNS_KEY, key): name for name in KNOWN}
    there = [column for column in adata.obs if column in own]
    if f"{key}_cell_type" not in there:
        raise LabelError.of(
            "LABEL_COLUMN_UNKNOWN",
            where="obs",
            expected=f"calls, in columns that begin with {key}_",
            found=", ".join(map(str, adata.obs.columns)) or "no columns",
            remedy=f"Make them: cm.tl.annotate(adata, model=..., key_added={key!r})",
        )
    frame: pd.DataFrame = adata.obs[there].rename(columns=own)
    return frame[[name for name in KNOWN if name in frame]].rename_axis(CELL_ID)
