"""Called and unassigned cells with planted populations."""

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.calls.called_cells import CalledCells
from cellmark.schemas.columns import CELL_ID

N_GENES, N_OWN = 400, 40
TYPES = ("B cell", "NK cell", "T cell")
THRESHOLD = 2.0


def rates_of(number: int) -> np.ndarray:
    """Of type or population `number`: forty genes of its own, as much as six times as many counts."""
    rates = np.random.default_rng(99).gamma(0.6, 1.0, N_GENES) + 0.05
    rates[number * N_OWN : (number + 1) * N_OWN] += 6
    return rates


def draw(number: int, n_cells: int, *, depth: float = 1.0, seed: int = 0) -> np.ndarray:
    generator = np.random.default_rng([seed, number])
    return generator.poisson(depth * rates_of(number) * generator.lognormal(0, 0.2, (n_cells, 1))).astype(np.float32)


def called_cells(*unassigned: np.ndarray, n_called: int = 60, best: int = 0) -> CalledCells:
    """`n_called` cells of each of three types, and the counts of unassigned groups, all most like type `best`."""
    parts = [draw(number, n_called) for number in range(len(TYPES))]
    counts = sp.csr_matrix(np.vstack([*parts, *unassigned]))
    n_unassigned = counts.shape[0] - len(TYPES) * n_called
    codes = np.concatenate([np.repeat(np.arange(len(TYPES)), n_called), np.full(n_unassigned, best)])
    is_unassigned = np.arange(len(codes)) >= len(TYPES) * n_called
    names = [f"cell-{number}" for number in range(len(codes))]
    symbols = [f"GENE{number}" for number in range(N_GENES - 3)] + ["MT-CO1", "MT-ND1", "MT-ND2"]
    return CalledCells(
        counts=counts,
        library_size=np.asarray(counts.sum(axis=1)).ravel().astype(np.float32),
        cell_ids=np.array(names),
        gene_symbols=tuple(symbols),
        gene_ids=(None,) * N_GENES,
        in_panel=np.arange(N_GENES) < 3 * N_OWN + 5,
        best=codes,
        cell_types=TYPES,
        unassigned=is_unassigned,
        novelty=np.where(is_unassigned, 3.0, 0.0),
        threshold=THRESHOLD,
        donors=np.array([f"d{number % 2}" for number in range(len(codes))]),
        n_cells=len(codes) * 2,
        n_called=np.full(len(TYPES), n_called),
        calls=pd.DataFrame(index=pd.Index(names, name=CELL_ID)),
    )
