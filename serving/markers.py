"""The marker table of a model, without its graphs."""

import os

import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import Finding, ParameterError

from .model_source import open_model


def select_markers(bundle: Bundle, cell_type: str | None = None, *, top: int | None = None) -> pd.DataFrame:
    """Rows of the marker table, of one type when named; `top` keeps the first ranks.

    Raises `ModelError` (`CELL_TYPE_UNKNOWN`) and `ParameterError`.
    """
    if top is not None and top < 1:
        raise ParameterError(Finding("PARAMETER_INVALID", "top", "at least 1", str(top), "Ask for one rank or more."))
    table = bundle.markers
    if cell_type is not None:
        bundle.check_cell_type(cell_type)
        table = table[table["cell_type"] == cell_type]
    if top is not None:
        table = table[table["rank"] <= top]
    return table.reset_index(drop=True)


def read_markers(
    model: str | os.PathLike[str], cell_type: str | None = None, *, top: int | None = None
) -> pd.DataFrame:
    """As `select_markers`, of a bundle folder or an MLflow URI."""
    return select_markers(open_model(model).bundle, cell_type, top=top)
