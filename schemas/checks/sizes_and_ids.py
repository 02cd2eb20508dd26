"""What is wrong with the number of cells and genes of an input, or with the ids of its cells."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ..cells.cell_source import CellSource
from ..errors import Finding
from .check_counts import N_EXAMPLES


def size_findings(source: CellSource) -> tuple[Finding, ...]:
    """Errors of an input without cells or without genes."""
    found = []
    if source.n_obs == 0:
        found.append(
            Finding(
                "NO_CELLS",
                where=source.name,
                expected="at least one cell",
                found="none",
                remedy="Write it again from the cells before it was subset: the filter kept none.",
            )
        )
    if source.n_vars == 0:
        found.append(
            Finding(
                "NO_GENES",
                where=source.name,
                expected="at least one gene",
                found="none",
                remedy="Check how the file was subset.",
            )
        )
    return tuple(found)


def id_findings(cell_ids: np.ndarray) -> tuple[Finding, ...]:
    """The error of an input in which a cell id occurs more than once."""
    if len(set(cell_ids.tolist())) == len(cell_ids):
        return ()
    ids = pd.Index(cell_ids)
    repeated = ids[ids.duplicated()].unique()
    return (duplicate_ids(len(repeated), repeated[:N_EXAMPLES]),)


def duplicate_ids(number: int, examples: Iterable[str]) -> Finding:
    """The error of `number` cell ids that occur more than once."""
    return Finding(
        "CELL_ID_DUPLICATE",
        where="cell_id",
        expected="a unique id for every cell",
        found=f"{number} ids that occur more than once",
        remedy="Make them unique: adata.obs_names_make_unique(), or put the batch before each barcode.",
        examples=tuple(map(str, examples)),
    )
