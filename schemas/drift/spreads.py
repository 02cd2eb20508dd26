"""What pictures of a drift report are drawn from: spreads beside those of held-out cells, and cells in the plane."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..reference_profile import FEWEST_CELLS, LEVELS, MEASURES, CellsProfile, measured
from .cells_within_types import CellsWithinTypes
from .reference_plane import ReferencePlane

AT = (0.05, 0.25, 0.5, 0.75, 0.95)
PLACES = tuple(LEVELS.index(level) for level in AT)
N_BINS = 44
MARGIN = 0.12
"""Share of the reference's width and height that is added on each side, for new cells that lie elsewhere."""


@dataclass(frozen=True)
class Spread:
    """Quantiles of a measure, at 5, 25, 50, 75 and 95 %, of new cells and of held-out ones. `cell_type`: the most
    probable one; None for all cells. None: too few cells, or not measured.
    """

    measure: str
    cell_type: str | None
    n_cells: int
    observed: tuple[float, ...] | None
    expected: tuple[float, ...] | None


@dataclass(frozen=True)
class Bin:
    """New cells that lie in one square of the plane. `x`, `y`: its middle."""

    x: float
    y: float
    n_cells: int
    n_unassigned: int


@dataclass(frozen=True)
class CellsInPlane:
    """New cells over the reference's plane. `size`: of a square. `x_range`, `y_range`: what is shown; `n_beyond`: cells
    outside of it, which are counted at its edge. `inside`: share of new cells in the 95 % ellipse of any type.
    """

    plane: ReferencePlane
    bins: tuple[Bin, ...]
    size: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    n_beyond: int
    inside: float


def spreads_of(within: CellsWithinTypes) -> tuple[Spread, ...]:
    """The spreads of each measure that new and held-out cells have: all cells, then each type of the new ones."""
    cells, profile = within.cells, within.profile
    found = []
    for measure in MEASURES:
        if measured(cells, measure) is None or profile.overall.quantiles(measure) is None:
            continue
        found.append(_spread(measure, None, cells, profile.overall))
        found += [
            _spread(measure, name, cells.iloc[rows], profile.cell_types[name])
            for name, rows in within.rows.items()
            if len(rows)
        ]
    return tuple(found)


def _spread(measure: str, cell_type: str | None, cells: pd.DataFrame, reference: CellsProfile) -> Spread:
    values, expected = measured(cells, measure), reference.quantiles(measure)
    enough = values is not None and len(values) >= FEWEST_CELLS
    return Spread(
        measure,
        cell_type,
        len(cells),
        tuple(float(value) for value in np.quantile(values, AT)) if enough and values is not None else None,
        None if expected is None else tuple(float(expected[place]) for place in PLACES),
    )


def cells_in_plane(plane: ReferencePlane, places: np.ndarray, unassigned: np.ndarray) -> CellsInPlane:
    """Count cells in squares. `places`: [cells, 2], at least one; `unassigned`: bool [cells]."""
    low, high = _shown(plane)
    size = float((high - low).max()) / N_BINS
    clipped = np.clip(places, low + size / 2, high - size / 2)
    numbers = np.floor((clipped - low) / size).astype(np.int64)
    squares, which = np.unique(numbers, axis=0, return_inverse=True)
    which = which.ravel()
    n_cells = np.bincount(which, minlength=len(squares))
    n_unassigned = np.bincount(which[unassigned], minlength=len(squares))
    middles = low + (squares + 0.5) * size
    return CellsInPlane(
        plane,
        tuple(
            Bin(float(x), float(y), int(n), int(without))
            for (x, y), n, without in zip(middles, n_cells, n_unassigned, strict=True)
        ),
        size,
        (float(low[0]), float(high[0])),
        (float(low[1]), float(high[1])),
        int(((places < low) | (places > high)).any(axis=1).sum()),
        float(plane.is_inside(places).mean()),
    )


def _shown(plane: ReferencePlane) -> tuple[np.ndarray, np.ndarray]:
    """Lower and upper corner of the picture: all ellipses and a margin around them."""
    reach = np.array(
        [
            [one.radius_95 * np.sqrt(one.covariance[0]), one.radius_95 * np.sqrt(one.covariance[2])]
            for one in plane.cell_types.values()
        ]
    )
    centres = np.array([one.centre for one in plane.cell_types.values()])
    low, high = (centres - reach).min(axis=0), (centres + reach).max(axis=0)
    margin = MARGIN * np.maximum(high - low, 1e-9)
    return low - margin, high + margin
