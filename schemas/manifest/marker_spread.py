"""`marker_spread.json`: how the best markers are spread, over the cells of each type and over the UMAP.

Optional, and no cell by itself: densities are of at least `FEWEST_CELLS` cells, each bin of the map is the mean of at
least `FEWEST_IN_A_BIN`.
"""

from typing import Literal

import numpy as np

from .manifest_section import Section, canonical_json

FEWEST_CELLS = 20
"""A type with fewer cells has no densities: they would be the cells themselves."""
FEWEST_IN_A_BIN = 10
POINTS = 24
"""Places of a density, from 0 to the largest value drawn."""
LARGEST_AT = 0.99
"""Quantile of a type's cells that the largest value drawn is; what is above counts there."""
SMOOTH = 0.8
"""Standard deviation of the kernel, in places."""
COLUMNS = (40, 32, 24, 20, 16, 12, 9)
"""Bins along the wider side of the map: the most with which `MOST_SHOWN` of the cells are in bins of enough cells."""
MOST_SHOWN = 0.8


class GeneSpread(Section):
    """`largest`: ln(1 + counts per 10,000) at the last place. `densities`: by type, at each place as a share of the
    type's highest, in per cent; a type of few cells has none. `medians`: of the same types.
    """

    largest: float
    densities: dict[str, list[int]]
    medians: dict[str, float]


class BinnedMap(Section):
    """Squares of side `pitch` in the map's units. `x`, `y`: their middles; `means`: of each gene in each square.
    `n_shown` of the map's `n_cells` are in one.
    """

    pitch: float
    x: list[float]
    y: list[float]
    means: dict[str, list[float]]
    n_shown: int
    n_cells: int


class MarkerSpread(Section):
    """`cells`: of each type, those that the densities are of. `bins`: None without a map, or where cells are few."""

    format_version: Literal[1] = 1
    cells: dict[str, int]
    genes: dict[str, GeneSpread]
    bins: BinnedMap | None = None

    def to_bytes(self) -> bytes:
        """As it lies in the bundle."""
        return canonical_json(self.model_dump(mode="json"))


def gene_spread(values: np.ndarray, codes: np.ndarray, cell_types: list[str]) -> GeneSpread:
    """The densities of one gene. `values`: [cells], ln(1 + counts per 10,000); `codes`: int [cells]."""
    of_type = {name: values[codes == code] for code, name in enumerate(cell_types)}
    enough = {name: found for name, found in of_type.items() if len(found) >= FEWEST_CELLS}
    largest = max((float(np.quantile(found, LARGEST_AT)) for found in enough.values()), default=0.0)
    return GeneSpread(
        largest=round(largest, 3),
        densities={name: density(found, largest) for name, found in enough.items()},
        medians={name: round(min(float(np.median(found)), largest), 3) for name, found in enough.items()},
    )


def density(values: np.ndarray, largest: float) -> list[int]:
    """A smoothed histogram from 0 to `largest`, in per cent of its highest place; the first place is 0 itself."""
    places = np.rint(np.clip(values / max(largest, 1e-9), 0, 1) * (POINTS - 1)).astype(int)
    counts = np.bincount(places, minlength=POINTS).astype(float)
    apart = np.arange(POINTS)[:, None] - np.arange(POINTS)[None]
    kernel = np.exp(-0.5 * (apart / SMOOTH) ** 2)
    smooth = kernel @ (counts / kernel.sum(axis=0))
    return [round(100 * float(value)) for value in smooth / smooth.max()]


def bin_map(where: np.ndarray, values: np.ndarray, genes: list[str]) -> BinnedMap | None:
    """Means of genes over squares of the map, None where no size of square has enough cells.

    `where`: [cells, 2]; `values`: [cells, genes]. Squares of fewer than `FEWEST_IN_A_BIN` cells are omitted.
    """
    if len(where) == 0 or not genes:
        return None
    where = where.astype(np.float64)
    low = where.min(axis=0)
    span = float((where.max(axis=0) - low).max())
    for columns in COLUMNS:
        pitch = max(span, 1e-9) / columns
        squares = np.minimum(((where - low) / pitch).astype(int), columns - 1)
        found, member, sizes = np.unique(squares, axis=0, return_inverse=True, return_counts=True)
        enough = sizes >= FEWEST_IN_A_BIN
        if sizes[enough].sum() >= MOST_SHOWN * len(where):
            break
    else:
        return None
    sums = np.zeros((len(found), values.shape[1]))
    np.add.at(sums, member.ravel(), values)
    means = sums[enough] / sizes[enough][:, None]
    middles = low + (found[enough] + 0.5) * pitch
    return BinnedMap(
        pitch=round(pitch, 4),
        x=[round(float(value), 3) for value in middles[:, 0]],
        y=[round(float(value), 3) for value in middles[:, 1]],
        means={gene: [round(float(value), 3) for value in means[:, place]] for place, gene in enumerate(genes)},
        n_shown=int(sizes[enough].sum()),
        n_cells=len(where),
    )
