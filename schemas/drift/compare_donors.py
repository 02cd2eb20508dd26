"""How far training donors differ: each donor's cells beside those of the others, as new cells would be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from ..reference_profile import (
    ANSWERS,
    BEST,
    FEWEST_CELLS,
    UNASSIGNED_CELL,
    DonorEffects,
    describe_cells,
)
from .compare_cells import compare_cells
from .drift_report import PanelFacts

PANEL_OVERLAP = "panel_overlap"


def compare_donors(
    cells: pd.DataFrame, donors: np.ndarray, cell_types: Sequence[str], *, counted: sp.csr_matrix, labels: np.ndarray
) -> dict[str, DonorEffects]:
    """Effects of each donor with enough cells, while the others have enough too; empty for fewer than two donors.

    `cells`: held-out cells, columns as in `describe_cells`; `donors`, `labels`: str [cells]; `counted`: CSR, cells x
    panel genes, what is above zero is counted. Expected detection rates are those of the other donors' cells by label.
    """
    # Networks of different folds are strange to different cells: what they say of donors cannot be compared.
    cells = cells.drop(columns=list(ANSWERS)).assign(**{UNASSIGNED_CELL: False})
    found = {}
    names = np.unique(donors)
    rates = _RatesOfOthers(counted, labels, cell_types)
    for name in names if len(names) > 1 else ():
        own = donors == name
        if min(own.sum(), (~own).sum()) < FEWEST_CELLS:
            continue
        others = describe_cells(cells[~own], cell_types, part="held_out", refuses=False)
        panel = rates.without(own, cells.loc[own, BEST].to_numpy(dtype=object))
        report = compare_cells(cells[own], others, panel=panel, top=0)
        found[str(name)] = DonorEffects(
            n_cells=int(own.sum()),
            effects={
                measure.name: measure.effect
                for measure in report.measures
                if measure.effect is not None and measure.severity is not None and measure.name != PANEL_OVERLAP
            },
        )
    return found


class _RatesOfOthers:
    """Cells that count each gene, by label. Summed once, so that many donors do not each read all cells."""

    def __init__(self, counted: sp.csr_matrix, labels: np.ndarray, cell_types: Sequence[str]) -> None:
        self._there = sp.csr_matrix(counted > 0, dtype=np.float64)
        self._labels = np.array([labels == name for name in cell_types], dtype=np.float64)
        self._cell_types = list(cell_types)
        self._sums, self._sizes = self._labels @ self._there, self._labels.sum(axis=1)

    def without(self, own: np.ndarray, best: np.ndarray) -> PanelFacts:
        """Share of a donor's cells that count each gene, and that of the others' cells, composed as these are called.

        `own`: bool [cells]; `best`: the most probable types of the donor's cells.
        """
        there = self._there[own]
        sums = self._sums - self._labels[:, own] @ there
        sizes = self._sizes - self._labels[:, own].sum(axis=1)
        overall = sums.sum(axis=0) / max(sizes.sum(), 1)
        per_type = np.where(sizes[:, None] > 0, sums / np.maximum(sizes, 1)[:, None], overall)
        shares = np.array([(best == name).mean() for name in self._cell_types])
        n_genes = there.shape[1]
        observed = np.asarray(there.mean(axis=0), dtype=np.float64).ravel()
        return PanelFacts([""] * n_genes, observed, np.asarray(shares @ per_type))
