"""Label sets as people and programs read them."""

import re
from collections.abc import Sequence

import numpy as np
import pandas as pd

from cellmark.schemas.columns import SET_SEPARATOR


def set_column(sets: np.ndarray | None, n_cells: int, cell_types: Sequence[str]) -> pd.Categorical:
    """Sets as text, types in the model's order joined by " | "; empty for all cells where there are none.

    `sets`: uint8, cells x ceil(types / 8), as `packed_sets` gives them. A category for each set that is
    there: of a million cells few differ.
    """
    if sets is None:
        return pd.Categorical.from_codes(np.full(n_cells, -1), categories=pd.Index([], dtype=object))
    if n_cells == 0:
        return pd.Categorical([])
    # As one value a row: np.unique by rows sorts them column by column, which is slower by far.
    rows = np.ascontiguousarray(sets).view(np.dtype((np.void, sets.shape[1]))).ravel()
    _, first, codes = np.unique(rows, return_index=True, return_inverse=True)
    held = np.unpackbits(sets[first], axis=1, count=len(cell_types)).astype(bool)
    names = np.array(cell_types, dtype=object)
    texts = [SET_SEPARATOR.join(names[one]) for one in held]
    return pd.Categorical.from_codes(codes.ravel(), categories=pd.Index(texts, dtype=object))


def set_lists(column: pd.Series, cell_types: Sequence[str]) -> list[list[str] | None]:
    """The types of each cell's set, None where the model has no sets. `column`: as `set_column` gives it."""
    # The longest first, so that a type whose own name holds the separator does not count as two.
    pattern = re.compile("|".join(map(re.escape, sorted(cell_types, key=len, reverse=True))))
    lists: list[list[str] | None] = [pattern.findall(text) for text in column.cat.categories]
    return [lists[code] if code >= 0 else None for code in column.cat.codes]
