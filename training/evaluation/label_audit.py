"""Labels that both the cross-validated calls and the markers contradict: training data is where most errors start.

A cell counts as doubtful where networks that never saw it call it another type with at least the probability that they
usually give to cells labelled so (confident learning: Northcutt, Jiang and Chuang, 2021, doi:10.1613/jair.1.12125), and
where it has more of that type's markers than of its label's, each beside what cells of the type usually have.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse as sp

N_MARKERS = 10
"""Markers of a type that are looked at: the first of its ranking."""


@dataclass(frozen=True)
class LabelAudit:
    """`cells`: one row per doubtful cell, most doubtful first; `row`: its number, `label`, `called`: numbers of types,
    `label_doubt`: the probability that the label is wrong, by networks that never saw the cell, `label_markers`,
    `call_markers`: mean expression of the markers of either, in units of what cells of that type usually have.
    `judged`: numbers of the cells that were looked at.
    """

    cells: pd.DataFrame
    judged: np.ndarray

    def section(self, codes: np.ndarray, cell_types: Sequence[str]) -> dict[str, Any]:
        """As `LabelAuditEntry`. `codes`: int [cells], the labels."""
        names, n_cells = np.array(cell_types, dtype=object), np.bincount(codes[self.judged], minlength=len(cell_types))
        pairs = Counter(zip(self.cells["label"].tolist(), self.cells["called"].tolist(), strict=True)).most_common()
        return {
            "n_cells": len(self.judged),
            "n_doubtful": len(self.cells),
            "pairs": [
                {
                    "label": names[label],
                    "called": names[called],
                    "n_cells": int(n_cells[label]),
                    "n_doubtful": n_doubtful,
                }
                for (label, called), n_doubtful in sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
            ],
        }

    def table(
        self, codes: np.ndarray, cell_types: Sequence[str], cell_ids: np.ndarray, donors: np.ndarray | None
    ) -> pd.DataFrame:
        """`cells` with ids and names for people. `codes`, `cell_ids`, `donors`: of all cells."""
        rows, names = self.cells["row"].to_numpy(), np.array(cell_types, dtype=object)
        columns: dict[str, Any] = {"cell_id": cell_ids[rows]}
        if donors is not None:
            columns["donor"] = donors[rows]
        columns |= {name: names[self.cells[name]] for name in ("label", "called")}
        columns |= {name: self.cells[name] for name in ("label_doubt", "label_markers", "call_markers")}
        return pd.DataFrame(columns)


def audit_labels(
    x: sp.csr_matrix,
    codes: np.ndarray,
    *,
    judged: np.ndarray,
    probabilities: np.ndarray,
    markers: Sequence[np.ndarray],
) -> LabelAudit:
    """Look for labels that are contradicted.

    `x`: CSR, cells x panel genes, ln(1 + counts per 10,000); `codes`: int [cells], the labels. `judged`: numbers of the
    cells to look at; `probabilities`: calibrated, judged cells x types, by networks that never saw the cell and had
    learned its label. `markers`: for each type the columns of its markers, best first.
    """
    labels = codes[judged]
    called = probabilities.argmax(axis=1)
    of_label, of_call = (probabilities[np.arange(len(judged)), types] for types in (labels, called))
    usual = _usual_confidence(probabilities, labels)
    scores = _marker_scores(x[judged], labels, markers)
    by_label, by_call = (scores[np.arange(len(judged)), types] for types in (labels, called))
    doubtful = np.flatnonzero((called != labels) & (of_call >= usual[called]) & (by_call > by_label))
    cells = pd.DataFrame(
        {
            "row": judged[doubtful],
            "label": labels[doubtful],
            "called": called[doubtful],
            "label_doubt": 1 - of_label[doubtful],
            "label_markers": by_label[doubtful],
            "call_markers": by_call[doubtful],
        }
    )
    return LabelAudit(cells.sort_values("label_doubt", ascending=False, kind="stable", ignore_index=True), judged)


def _usual_confidence(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The mean probability that cells of each label get for it, [types]; above 1 for a type without cells."""
    return np.array(
        [
            probabilities[labels == code, code].mean() if (labels == code).any() else np.inf
            for code in range(probabilities.shape[1])
        ]
    )


def _marker_scores(x: sp.csr_matrix, labels: np.ndarray, markers: Sequence[np.ndarray]) -> np.ndarray:
    """Mean expression of each type's markers beside its median in cells labelled so, cells x types; 0 for a type that
    has no markers or whose cells mostly lack them.
    """
    scores = np.zeros((x.shape[0], len(markers)))
    for code, columns in enumerate(markers):
        if not len(columns) or not (labels == code).any():
            continue
        mean = np.asarray(x[:, columns[:N_MARKERS]].mean(axis=1)).ravel()
        usual = np.median(mean[labels == code])
        if usual > 0:
            scores[:, code] = mean / usual
    return scores
