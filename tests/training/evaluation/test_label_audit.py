"""Labels swapped on purpose are found; cells whose calls or markers agree with the label are left alone."""

import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.training.evaluation.label_audit import LabelAudit, audit_labels

N, N_TYPES, PER_TYPE = 300, 3, 4
MARKERS = [np.arange(PER_TYPE) + PER_TYPE * code for code in range(N_TYPES)]


@pytest.fixture
def cells() -> tuple[sp.csr_matrix, np.ndarray, np.ndarray]:
    """Expression in which each type has its markers, true types, and what a good model says, cells x types."""
    generator = np.random.default_rng(0)
    types = np.arange(N) % N_TYPES
    x = generator.uniform(0, 0.3, (N, N_TYPES * PER_TYPE))
    for code, columns in enumerate(MARKERS):
        x[np.ix_(types == code, columns)] += 2
    probabilities = np.full((N, N_TYPES), 0.05)
    probabilities[np.arange(N), types] = 0.9
    probabilities[N // 2 :] = probabilities[N // 2 :] * 0.5 + 0.5 / N_TYPES  # not all calls are as sure
    return sp.csr_matrix(x), types, probabilities


def audited(x: sp.csr_matrix, labels: np.ndarray, probabilities: np.ndarray) -> LabelAudit:
    return audit_labels(x, labels, judged=np.arange(N), probabilities=probabilities, markers=MARKERS)


def test_swapped_labels_are_found_with_their_type(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray]) -> None:
    x, types, probabilities = cells
    labels = types.copy()
    swapped = np.array([0, 3, 10, 50, 51])
    labels[swapped] = (types[swapped] + 1) % N_TYPES
    found = audited(x, labels, probabilities)
    assert sorted(found.cells["row"]) == swapped.tolist()
    assert found.cells["called"].tolist() == types[found.cells["row"]].tolist()
    assert found.cells["label_doubt"].to_numpy() == pytest.approx(0.95)
    section = found.section(labels, ["a", "b", "c"])
    assert (section["n_cells"], section["n_doubtful"]) == (N, 5)
    assert sum(pair["n_doubtful"] for pair in section["pairs"]) == 5
    assert section["pairs"][0] == {"label": "b", "called": "a", "n_cells": 102, "n_doubtful": 3}


def test_sound_labels_are_left_alone(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray]) -> None:
    x, types, probabilities = cells
    found = audited(x, types, probabilities)
    assert len(found.cells) == 0
    assert found.section(types, ["a", "b", "c"]) == {"n_cells": N, "n_doubtful": 0, "pairs": []}


@pytest.mark.parametrize("agrees", ["markers", "confidence"])
def test_one_witness_is_not_enough(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray], agrees: str) -> None:
    x, types, probabilities = cells
    if agrees == "markers":  # the call alone is wrong
        probabilities[0] = [0.05, 0.9, 0.05]
    else:  # called another type, but less surely than its cells are
        x = x.tolil()
        x[0, MARKERS[0]], x[0, MARKERS[1]] = 0, 2
        probabilities[0] = [0.3, 0.5, 0.2]
    assert len(audited(sp.csr_matrix(x), types, probabilities).cells) == 0


def test_the_table_has_names_for_people(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray]) -> None:
    x, types, probabilities = cells
    labels = types.copy()
    labels[7] = 0
    ids, donors = np.array([f"cell{number}" for number in range(N)]), np.full(N, "d1")
    found = audited(x, labels, probabilities).table(labels, ["a", "b", "c"], ids, donors)
    assert found.iloc[0][["cell_id", "donor", "label", "called"]].tolist() == ["cell7", "d1", "a", "b"]
    assert list(found) == ["cell_id", "donor", "label", "called", "label_doubt", "label_markers", "call_markers"]


def test_a_type_without_markers_or_cells_accuses_nobody(cells: tuple[sp.csr_matrix, np.ndarray, np.ndarray]) -> None:
    x, types, probabilities = cells
    labels = np.where(types == 2, 1, types)
    markers = [*MARKERS[:2], np.zeros(0, dtype=int)]
    found = audit_labels(x, labels, judged=np.arange(N), probabilities=probabilities, markers=markers)
    assert not (found.cells["called"] == 2).any()
