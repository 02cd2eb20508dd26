"""How a type's best markers are spread: violins over all types, and their means over the UMAP."""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup

from ..manifest.marker_spread import POINTS, BinnedMap, MarkerSpread
from .svg import Svg, clip, clip_all, n, ramp, width_of
from .tables import LONGEST, heading_space, slanted

WIDE, HIGH = 22, 60
"""Pixels of a violin's place."""
MAP_SIZE, EDGE = 230, 10


def violin_chart(spread: MarkerSpread, genes: Sequence[str], cell_types: Sequence[str], *, own: int) -> Markup:
    """A row of violins for each gene, each as wide at its widest; those of the type `own` in the other colour."""
    names, symbols = clip_all(cell_types, LONGEST), [clip(gene, 16) for gene in genes]
    left, top = 14 + width_of(symbols, 12), heading_space(names)
    right = left + WIDE * len(names)
    svg = Svg(right + top * 0.85, top + HIGH * len(genes) + 8, f"Violins of {len(genes)} genes in {len(names)} types")
    for column, name in enumerate(names):
        slanted(svg, left + WIDE * (column + 0.5) + 3, top - 7, name, href=f"#type-{column + 1}")
    for row, gene in enumerate(genes):
        floor, of_gene = top + HIGH * (row + 1) - 4, spread.genes[gene]
        svg.line(left, floor, right, floor)
        svg.text(left - 7, floor - 20, symbols[row], anchor="end", kind="gene")
        svg.text(right + 5, floor - HIGH + 16, f"{of_gene.largest:.1f}", kind="tick")
        svg.text(right + 5, floor + 2, "0", kind="tick")
        for column, name in enumerate(cell_types):
            if name not in of_gene.densities:
                continue
            middle = left + WIDE * (column + 0.5)
            tip = f"{gene} in {name}: median {of_gene.medians[name]:.2f}, {spread.cells.get(name, 0):,} cells"
            paint = "orange" if column == own else "blue"
            svg.shape(violin_path(of_gene.densities[name], middle, floor), paint, tip=tip)
            high = floor - (HIGH - 10) * of_gene.medians[name] / max(of_gene.largest, 1e-9)
            svg.line(middle - 4, high, middle + 4, high, "lead")
    return svg.markup()


def violin_path(density: Sequence[int], middle: float, floor: float) -> str:
    """The outline from the floor upwards and back. Places where nothing is are omitted."""
    half = np.array(density) / 100 * (WIDE - 3) / 2
    step = (HIGH - 10) / (POINTS - 1)
    shown = np.flatnonzero(half > 0)
    places = np.arange(shown[0], shown[-1] + 1) if len(shown) else np.arange(1)
    up = [f"{n(middle + half[place])} {n(floor - step * place)}" for place in places]
    down = [f"{n(middle - half[place])} {n(floor - step * place)}" for place in places[::-1]]
    return f"M{'L'.join([*up, *down])}z"


def feature_chart(bins: BinnedMap, gene: str) -> Markup:
    """The gene's mean in squares of the UMAP, on one ramp from 0 to its largest mean."""
    x, y, values = np.array(bins.x), np.array(bins.y), np.array(bins.means[gene])
    low, high = np.array([x.min(), y.min()]), np.array([x.max(), y.max()])
    scale = (MAP_SIZE - 2 * EDGE) / max(float((high - low).max()) + bins.pitch, 1e-9)
    centre = (low + high) / 2
    side = bins.pitch * scale
    left = MAP_SIZE / 2 + (x - centre[0]) * scale - side / 2
    top = MAP_SIZE / 2 - (y - centre[1]) * scale - side / 2
    largest = max(float(values.max()), 1e-9)
    svg = Svg(MAP_SIZE, MAP_SIZE, f"Mean expression of {gene} over the UMAP")
    svg.rect(0.5, 0.5, MAP_SIZE - 1, MAP_SIZE - 1, ".ground", more=' rx="6"')
    paints = [ramp(0.08 + 0.92 * max(float(value), 0) / largest) for value in values]
    for paint in dict.fromkeys(paints):
        squares = [place for place, one in enumerate(paints) if one == paint]
        where = "".join(f"M{n(left[k])} {n(top[k])}h{n(side)}v{n(side)}h-{n(side)}z" for k in squares)
        svg.shape(where, paint[1:])
    return svg.markup()
