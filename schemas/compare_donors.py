"""How far training donors lie apart: each donor's cells beside those of the others, as new cells would be."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import scipy.sparse as sp

from cellmark.schemas.compare_cells import compare_cells
from cellmark.schemas.drift_report import PanelFacts
from cellmark.schemas.reference_profile import (
    ANSWERS,
    BEST,
    FEWEST_CELLS,
    UNASSIGNED_CELL,
    DonorEffects,
    describe_cells,
)

PANEL_OVERLAP = "panel_overlap"


def compare_donors(
    cells: pd.DataFrame, donors: np.ndarray, cell_types: Sequence[str], *, counted: sp.csr_matrix, labels: np.ndarray
) -> dict[str, DonorEffects]:
    """Of each donor with enough cells, while the others have enough too; empty for fewer than two donors.

    `cells`: held-out cells, columns as in `describe_cells`; `donors`, `labels`: str [cells]; `counted`: CSR, cells x
    panel genes, what is above zero is counted. Expected detection rates are those of the other donors' cells by label.
    """
    # Networks of different folds are strange to different cells: what they say of donors cannot be compared.
    cells = cells.drop(columns=list(ANSWERS)).assign(**{UNASSIGNED_CELL: False})
    found = {}
    names = np.unique(donors)
    for name in names if len(names) > 1 else ():
        own = donors == name
        if min(own.sum(), (~own).sum()) < FEWEST_CELLS:
            continue
        others = describe_cells(cells[~own], cell_types, part="held_out", refuses=False)
        panel = _detection(counted, labels, own, cells[BEST].to_numpy(dtype=object), cell_types)
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


def _detection(
    counted: sp.csr_matrix, labels: np.ndarray, own: np.ndarray, best: np.ndarray, cell_types: Sequence[str]
) -> PanelFacts:
    """Share of a donor's cells that count each gene, and that expected of cells called as these are."""
    there = counted > 0
    observed, expected = _rates(there[own]), np.zeros(counted.shape[1])
    overall = _rates(there[~own])
    for name in cell_types:
        share = float((best[own] == name).mean())
        of_type = ~own & (labels == name)
        expected += share * (_rates(there[of_type]) if of_type.any() else overall)
    return PanelFacts([""] * counted.shape[1], observed, expected)


def _rates(there: sp.csr_matrix) -> np.ndarray:
    return np.asarray(there.mean(axis=0), dtype=np.float64).ravel()
