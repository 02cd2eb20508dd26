"""The model's embedding as a picture: cells by their labels and, beside it, by the model's calls."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from cellmark.schemas.report.label_places import place_labels

from ..cells.cell_groups import draw_cells
from ..cells.plane import PlaneMethod, plane
from .figure_style import TypeStyle, new_figure, short, type_styles

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

AT_MOST = 20_000
RARE = 30
"""Cells shown below which a type's points are larger and framed."""
PANEL = 6.4
"""Width and height of a panel, inches."""
MOST_COVERED = 0.06
"""Share of a panel that names may cover; beyond, types are numbers."""
LABEL_AREAS = 2.5
"""A label lies on its type's cells where the middle half of these takes so many times its area."""
ROWS = 36
"""Entries of the legend in one column."""


def embedding_figure(
    embedding: np.ndarray,
    codes: np.ndarray,
    calls: np.ndarray,
    *,
    cell_types: Sequence[str],
    method: PlaneMethod = "umap",
    at_most: int = AT_MOST,
    part: str = "",
    seed: int = 0,
) -> "Figure":
    """A UMAP of a sample of cells, left by label and right by call, where wrong calls are crossed.

    `embedding`: [cells, d]; `codes`, `calls`: int [cells], numbers of `cell_types`. `method`: see `plane`. Of more than
    `at_most` cells the same number of each type is drawn, as far as it has them. `part`: what cells these are, for the
    title. Types are written at the median of their cells, or above them where they are few, by name where there is room
    for all names and else by number. Rare types are drawn last, on top.
    """
    rows = draw_cells(codes, at_most=at_most, seed=seed)
    where, labels, called = plane(embedding[rows], method=method, seed=seed), codes[rows], calls[rows]
    n_types = len(cell_types)
    names = short(cell_types)
    styles = type_styles(n_types)
    wrong = labels != called
    columns = -(-n_types // ROWS)
    figure = new_figure(2 * PANEL + 0.6 + 2.9 * columns, PANEL + 0.5)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    size = float(np.clip(30_000 / max(len(rows), 1), 3, 20))
    for axes, of_panel in ((left, labels), (right, called)):
        _points(axes, where, of_panel, styles, size)
        axis = "UMAP" if method == "umap" else "PCA"
        axes.set(xticks=[], yticks=[], xlabel=f"{axis} 1 of the embedding", ylabel=f"{axis} 2 of the embedding")
    shown = f"{len(rows):,} {part} cells" if part else f"{len(rows):,} cells"
    left.set_title(f"By label, {shown}")
    right.set_title(f"By call, {wrong.sum():,} of them wrong (×)")
    right.scatter(
        where[wrong, 0], where[wrong, 1], s=max(14.0, 1.5 * size), marker="x", color="black", linewidths=0.8, zorder=9
    )
    figure.legend(
        handles=_legend(left, names, styles, labels),
        loc="outside right center",
        frameon=False,
        fontsize=8 if n_types <= 24 else 7,
        ncols=columns,
        title="number, cell type (cells shown)",
        title_fontsize=8,
    )
    figure.draw_without_rendering()  # where panels lie, in pixels
    figure.set_layout_engine("none")
    # A type stands where the cells are that are called so rightly; a few wrong calls may lie anywhere.
    right_first = np.where(wrong & np.isin(called, labels[~wrong]), -1, called)
    panels = ((left, labels), (right, right_first))
    placed = [_write(axes, where, of_panel, names) for axes, of_panel in panels]
    if not all(fits for _, fits in placed):
        for artists, _ in placed:
            for artist in artists:
                artist.remove()
        for axes, of_panel in panels:
            _write(axes, where, of_panel, [str(number + 1) for number in range(n_types)])
    return figure


def _points(axes: "Axes", where: np.ndarray, of_panel: np.ndarray, styles: Sequence[TypeStyle], size: float) -> None:
    sizes = np.bincount(of_panel, minlength=len(styles))
    for layer, code in enumerate(np.argsort(-sizes, kind="stable")):
        style, rare = styles[code], sizes[code] < RARE
        if sizes[code]:
            cells = where[of_panel == code]
            axes.scatter(
                cells[:, 0],
                cells[:, 1],
                s=max(3 * size, 26) if rare else size,
                marker=style.shape,
                color=style.colour,
                edgecolors="black" if rare else "none",
                linewidths=0.5,
                zorder=2 + layer / 100,
                rasterized=True,  # of up to 20,000 points a drawing program makes nothing
            )


def _legend(axes: "Axes", names: Sequence[str], styles: Sequence[TypeStyle], labels: np.ndarray) -> list[Any]:
    sizes = np.bincount(labels, minlength=len(names))
    return [
        axes.scatter(
            [], [], marker=style.shape, color=style.colour, s=30, label=f"{code + 1}  {name} ({sizes[code]:,})"
        )
        for code, (name, style) in enumerate(zip(names, styles, strict=True))
    ]


def _write(axes: "Axes", where: np.ndarray, of_panel: np.ndarray, names: Sequence[str]) -> tuple[list[Any], bool]:
    """Write each type's name beside or on its cells, with a line where it had to move away; whether all had room.

    `of_panel`: the type of each cell, negative for cells that do not count.
    """
    from matplotlib.patheffects import Stroke

    present = np.unique(of_panel[of_panel >= 0])
    # Text with effects becomes outlines in a file: the halo is a text of its own, below one that stays text.
    halos, texts = (
        [
            axes.text(0, 0, names[code], ha="center", va="center", fontsize=8, zorder=zorder, path_effects=effects)
            for code in present
        ]
        for zorder, effects in ((9.9, [Stroke(linewidth=2.5, foreground="white")]), (10, []))
    )
    extents = [text.get_window_extent() for text in texts]
    sizes = np.array([[extent.width, extent.height] for extent in extents]).reshape(-1, 2)
    pixels = axes.transData.transform(where)
    wanted = [_wanted(pixels[of_panel == code], size) for code, size in zip(present, sizes, strict=True)]
    frame = axes.get_window_extent()
    corner = np.array([frame.x0, frame.y0])
    anchors = np.array(wanted).reshape(-1, 2)
    centres, fits = place_labels(anchors - corner, sizes, width=frame.width, height=frame.height)
    centres += corner
    to_data = axes.transData.inverted()
    for text, halo, centre in zip(texts, halos, centres, strict=True):
        for one in (halo, text):
            one.set_position(tuple(to_data.transform(centre)))
    far = (np.abs(centres - anchors) > 0.5 * sizes + 3).any(axis=1)
    lines = [
        axes.plot(*to_data.transform(ends).T, color="black", linewidth=0.6, zorder=9.5)[0]
        for ends in np.stack([anchors, centres], axis=1)[far]
    ]
    fits = fits and bool(sizes.prod(axis=1).sum() < MOST_COVERED * frame.width * frame.height)
    return [*halos, *texts, *lines], fits


def _wanted(points: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where a label of this size is to be, in pixels: on the cells, or above them if it would hide many of them."""
    middle = points[np.linalg.norm(points - np.median(points, axis=0), axis=1).argmin()]
    low, high = np.percentile(points, [25, 75], axis=0)  # of the bulk: strays are no reason
    if len(points) < RARE or (high - low).prod() < LABEL_AREAS * size.prod():
        top = middle[1] + 2 * max(high[1] - middle[1], 0)
        return np.array([middle[0], top + 0.5 * size[1] + 6])
    return np.asarray(middle)
