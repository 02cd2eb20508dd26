"""New cells by their most probable type, beside the held-out cells of that type; how often genes are expected there."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from ..reference_profile import BEST, FEWEST_CELLS, HIGH, LEVELS, LOW, ReferenceProfile, measured

STANDARD_ERRORS = 4.0
"""A share must differ by more than this many, else it is chance: four, since every type of a model is looked at."""


class CellsWithinTypes:
    """`cells`: columns as in `describe_cells`. `rows`: of each type of the profile, numbers of cells."""

    def __init__(self, cells: pd.DataFrame, profile: ReferenceProfile) -> None:
        self.cells, self.profile = cells, profile
        of_type = cells[BEST].to_numpy(dtype=object)
        self.rows = {name: np.flatnonzero(of_type == name) for name in profile.cell_types}

    def values(self, measure: str, name: str) -> np.ndarray | None:
        """The measure for the cells of one type; None where there are none."""
        return measured(self.cells.iloc[self.rows[name]], measure)

    def medians(self, measure: str) -> list[tuple[int, float, float]]:
        """Cells, median and expected median of each type that has enough cells on both sides. Where such types are less
        than half of the cells, those of all cells, whatever their type.
        """
        found = []
        for name, reference in self.profile.cell_types.items():
            values, expected = self.values(measure, name), reference.median(measure)
            if values is not None and expected is not None and len(values) >= FEWEST_CELLS:
                found.append((len(values), float(np.median(values)), expected))
        if sum(n_cells for n_cells, _, _ in found) >= len(self.cells) / 2:
            return found
        values, expected = measured(self.cells, measure), self.profile.overall.median(measure)
        return [] if values is None or expected is None else [(len(values), float(np.median(values)), expected)]

    def beyond(self, measure: str) -> np.ndarray | None:
        """Whether each cell is beyond what 95 % of held-out cells of its type reach (of all held-out cells, for a type
        that has too few), bool [cells]: more novelty, less confidence.
        """
        overall = self.profile.overall.quantiles(measure)
        if overall is None or measured(self.cells, measure) is None:
            return None
        values = self.cells[measure].to_numpy(dtype=np.float64)
        found = np.zeros(len(values), dtype=bool)
        for name, rows in self.rows.items():
            own = self.profile.cell_types[name].quantiles(measure)
            levels = overall if own is None else own
            # Written so that NaN, which is like nothing, is beyond.
            found[rows] = ~(values[rows] <= levels[HIGH]) if measure == "novelty" else ~(values[rows] >= levels[LOW])
        return found


def ks_distance(values: np.ndarray, quantiles: np.ndarray) -> float:
    """Largest distance of two distribution functions at the quantiles (`LEVELS`) of one of them. Equal values on both
    sides make no distance: the other function passes through all levels of a step at once.
    """
    ordered, levels = np.sort(values), np.array(LEVELS)
    below = np.searchsorted(ordered, quantiles, side="left") / len(ordered)
    up_to = np.searchsorted(ordered, quantiles, side="right") / len(ordered)
    return float(np.maximum(np.maximum(below - levels, levels - up_to), 0).max())


def beyond_chance(observed: float, expected: float, *, n_cells: int, n_expected: int) -> bool:
    """Whether two shares differ by more than `STANDARD_ERRORS` of their difference."""
    pooled = (observed * n_cells + expected * n_expected) / max(n_cells + n_expected, 1)
    variance = pooled * (1 - pooled) * (1 / max(n_cells, 1) + 1 / max(n_expected, 1))
    return abs(observed - expected) > STANDARD_ERRORS * float(np.sqrt(variance))


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
