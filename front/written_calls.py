"""Calls in an AnnData, under a name of one's own."""

from typing import TYPE_CHECKING, Any

from cellmark.schemas.columns import (
    CALL_COLUMNS,
    CROSS_SPECIES,
    MAJORITY_COLUMNS,
    NEW_POPULATION,
    UNS_KEY,
    levels_among,
)
from cellmark.schemas.errors import ParameterError

if TYPE_CHECKING:
    import pandas as pd


KNOWN = (*CALL_COLUMNS, *MAJORITY_COLUMNS, NEW_POPULATION, CROSS_SPECIES)


def require_anndata(cells: Any, where: str, remedy: str) -> None:
    """Raise `ParameterError` for cells that cannot be written into."""
    if not (hasattr(cells, "obs") and hasattr(cells, "uns")):
        raise ParameterError.of(
            "PARAMETER_INVALID", where=where, expected="an AnnData", found=f"a {type(cells).__name__}", remedy=remedy
        )


def write_calls(frame: "pd.DataFrame", adata: Any, *, key_added: str) -> None:
    """Write calls into `obs` and their facts and colours into `uns`, in place of older ones of the same name."""
    import anndata
    import pandas as pd

    from cellmark.serving.scoring.calls_frame import copy_calls

    if key_added == UNS_KEY:
        copy_calls(frame, adata)
        return
    shell = anndata.AnnData(obs=pd.DataFrame(index=adata.obs_names))
    copy_calls(frame, shell)
    for column in [name for name in adata.obs if str(name).startswith(f"{key_added}_")]:
        known_as = renamed(str(column), key_added, UNS_KEY)
        if known_as in KNOWN or levels_among([known_as]):
            del adata.obs[column]
    for column in shell.obs:
        adata.obs[renamed(str(column), UNS_KEY, key_added)] = shell.obs[column].array
    for key in list(shell.uns):
        adata.uns[renamed(str(key), UNS_KEY, key_added)] = shell.uns[key]


def renamed(name: str, old: str, new: str) -> str:
    """`cellmark_cell_type` as `query_cell_type`."""
    return new + name.removeprefix(old)
