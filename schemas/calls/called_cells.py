"""Cells with their calls and all their genes: what serving hands to those who look further."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy.sparse as sp


@dataclass(frozen=True)
class CalledCells:
    """All unassigned cells of an input, and of each called type as many as were wanted.

    `counts`: CSR, float32, cells x genes, raw, of all genes of the input; `library_size`: float32 [cells];
    `gene_symbols`: unique; `gene_ids`: Ensembl ids where the input has them; `in_panel`: bool [genes], which of them
    the model looks at. `best`: int [cells], the most probable type, a number of `cell_types`; `unassigned`: bool
    [cells]; `novelty`: float [cells]; `threshold`: what the novelty of an unassigned cell exceeds. `donors`: str
    [cells], or None. `n_cells`: of the whole input; `n_called`: int [types], called cells of the whole input. `calls`:
    of every cell of the input, as `Annotator.annotate` gives them, cells by id.
    """

    counts: sp.csr_matrix
    library_size: np.ndarray
    cell_ids: np.ndarray
    gene_symbols: tuple[str, ...]
    gene_ids: tuple[str | None, ...]
    in_panel: np.ndarray
    best: np.ndarray
    cell_types: tuple[str, ...]
    unassigned: np.ndarray
    novelty: np.ndarray
    threshold: float
    donors: np.ndarray | None
    n_cells: int
    n_called: np.ndarray
    calls: pd.DataFrame
