"""Columns of `obs` that look like library sizes, to be proposed where they are missing or doubtful."""

import numpy as np
import pandas as pd

from ..cells.cell_source import CellSource

USUAL = ("total_counts", "n_counts", "ncount_rna", "numi", "n_umi", "n_umis", "library_size", "umi_count")
"""Names, in lower case, under which library sizes are often kept."""
LEAST_TOTAL = 50.0
"""Median of a column that may be library sizes; fractions and numbers of clusters are below."""


def library_size_columns(source: CellSource) -> list[str]:
    """Columns of `obs` that may be library sizes, those of the usual names first."""
    obs = source.obs
    found = []
    for name in dict.fromkeys(obs.columns):
        column = obs[name]
        if not isinstance(column, pd.Series) or not pd.api.types.is_numeric_dtype(column.dtype):
            continue
        values = column.to_numpy(dtype=np.float64, na_value=np.nan)
        if len(values) and (values > 0).all() and np.isfinite(values).all() and np.median(values) >= LEAST_TOTAL:
            found.append(str(name))
    usual = [name for name in USUAL if name in {column.lower() for column in found}]
    return sorted(found, key=lambda name: usual.index(name.lower()) if name.lower() in usual else len(usual))
