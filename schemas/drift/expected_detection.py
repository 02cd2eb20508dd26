"""In which share of cells each gene of the panel is expected, for cells that are composed as these were called."""

from collections.abc import Mapping

import numpy as np
import pandas as pd


def expected_detection(genes: pd.DataFrame, markers: pd.DataFrame, shares: Mapping[str, float]) -> np.ndarray:
    """Float64 [genes], from training cells. `genes`, `markers`: the bundle's tables; `shares`: of each type, summing
    to 1. A gene that the marker table does not tell for every type takes its share of all training cells.
    """
    overall = genes["fraction_expressing"].to_numpy(dtype=np.float64)
    if not {"cell_type", "gene_symbol", "fraction_in"} <= set(markers.columns):
        return overall
    per_type = markers.drop_duplicates(["cell_type", "gene_symbol"]).pivot_table(
        index="gene_symbol", columns="cell_type", values="fraction_in", observed=True
    )
    names = [name for name, share in shares.items() if share > 0]
    told = per_type.reindex(index=genes["gene_symbol"], columns=names).to_numpy(dtype=np.float64)
    composed = told @ np.array([shares[name] for name in names], dtype=np.float64)
    return np.where(np.isfinite(composed), composed, overall)
