"""Donors beside each other: differences that were made are found, by the rules of `cellmark drift`."""

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.drift.compare_donors import compare_donors
from cellmark.schemas.reference_profile import BEST, MEASURES, UNASSIGNED_CELL

TYPES = ("T cell", "B cell")
RATES = np.tile([[0.9, 0.1, 0.5], [0.2, 0.8, 0.5]], 30)
"""Share of a type's cells that count each of ninety genes."""


def draw(donors: dict[str, float], n_cells: int = 400) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, sp.csr_matrix]:
    """Cells of donors with depths; half of each is T cells, of the last donor a tenth."""
    generator = np.random.default_rng(0)
    names, frames, counted, labels = [], [], [], []
    for number, (donor, depth) in enumerate(donors.items()):
        share = 0.1 if number == len(donors) - 1 else 0.5
        codes = (np.arange(n_cells) >= share * n_cells).astype(int)
        sizes = depth * (1000 + 2000 * codes) * generator.lognormal(0, 0.2, n_cells)
        frames.append(pd.DataFrame({BEST: np.array(TYPES, dtype=object)[codes], "library_size": sizes}))
        counted.append(generator.random((n_cells, RATES.shape[1])) < RATES[codes])
        labels.append(np.array(TYPES)[codes])
        names += [donor] * n_cells
    cells = pd.concat(frames, ignore_index=True)
    cells = cells.assign(**{UNASSIGNED_CELL: False, "confidence": 0.9, "novelty": 0.0, "genes_detected": 500.0})
    return cells, np.array(names), np.concatenate(labels), sp.csr_matrix(np.vstack(counted).astype(np.float32))


def test_depth_is_told_within_types_and_detection_by_composition() -> None:
    """The last donor has other types: its medians of all cells differ, and neither of the two measures may."""
    cells, donors, labels, counted = draw({"a": 1.0, "b": 1.0, "c": 0.5})
    found = compare_donors(cells, donors, TYPES, counted=counted, labels=labels)
    assert found["c"].effects["library_size"] == pytest.approx(0.5, rel=0.05)
    assert found["c"].effects["composition"] == pytest.approx(0.4, abs=0.01)
    for donor in found.values():
        assert donor.n_cells == 400
        assert donor.effects["detection"] < 0.015
        assert set(donor.effects) <= {*MEASURES, "detection", "composition"} - {"confidence", "novelty"}
    changed = counted.toarray()
    changed[donors == "b", 2::3] = 0
    found = compare_donors(cells, donors, TYPES, counted=sp.csr_matrix(changed), labels=labels)
    # Every third gene, in half of the cells.
    assert found["b"].effects["detection"] == pytest.approx(0.5 / 3, abs=0.02)


def test_a_type_that_only_one_donor_has_is_expected_as_all_cells_are() -> None:
    cells, donors, labels, counted = draw({"a": 1.0, "b": 1.0})
    kept = (donors == "b") | (labels == "T cell")
    found = compare_donors(
        cells[kept].reset_index(drop=True), donors[kept], TYPES, counted=counted[kept], labels=labels[kept]
    )
    b_cells = (labels == "B cell") & (donors == "b")
    t_rates = counted[(donors == "a") & (labels == "T cell")].toarray().mean(axis=0)
    observed = counted[donors == "b"].toarray().mean(axis=0)
    by_chance = np.sqrt(2 / np.pi * t_rates * (1 - t_rates) / 400).mean()
    difference = np.abs(observed - t_rates).mean()
    assert b_cells.sum() == 360
    assert found["b"].effects["detection"] == pytest.approx(np.sqrt(difference**2 - by_chance**2))


@pytest.mark.parametrize("donors", [{"a": 1.0}, {"a": 1.0, "few": 1.0}])
def test_one_donor_or_few_cells_are_not_compared(donors: dict[str, float]) -> None:
    cells, names, labels, counted = draw(donors)
    kept = np.arange(len(cells)) < 410
    found = compare_donors(cells[kept], names[kept], TYPES, counted=counted[kept], labels=labels[kept])
    assert found == {}
