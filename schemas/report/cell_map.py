"""A UMAP of held-out cells, from the network's embedding, three times: by label, by call, by confidence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from .label_places import place_labels
from .palette import COLOURS
from .svg import Svg, clip_all, n, width_of

SIZE, EDGE = 340, 14
MOST_NAMES = 14
LONGEST, LETTERS = 20, 12
"""Letters of a name that are written, and their size in pixels."""
MOST_COVERED = 0.2
"""Share of a panel that names may cover; beyond, types are numbers."""
CONFIDENCES = (
    (0.0, "below 0.5", "q0"),
    (0.5, "0.5 to 0.8", "q1"),
    (0.8, "0.8 to 0.95", "q2"),
    (0.95, "0.95 and above", "q3"),
)
"""Lower end, words, and the class of the colour."""
SHAPES = ("m-2.2-2.2h4.4v4.4h-4.4z", "m0-3l2.8 5h-5.6z", "m0 3l2.8-5h-5.6z", "m0-3l3 3-3 3-3-3z")
"""Marks of types beyond the first twenty, whose points are round."""
UNASSIGNED = -1
LARGER = 'transform="translate(-3.5 -3.5) scale(1.5)"'


def places(cells: pd.DataFrame) -> np.ndarray:
    """Pixels of each cell, [cells, 2]: the plane fitted into the panel, one scale for both axes."""
    where = cells[["x", "y"]].to_numpy(dtype=float)
    low, high = where.min(axis=0), where.max(axis=0)
    scale = (SIZE - 2 * EDGE) / max(float((high - low).max()), 1e-9)
    middle = (where - (low + high) / 2) * scale
    return np.asarray(np.round(SIZE / 2 + middle * [1, -1], 1))


def map_panels(cells: pd.DataFrame, cell_types: Sequence[str], *, threshold: float | None) -> dict[str, Markup]:
    """The pictures `label`, `call` and `confidence`. `cells`: x, y, label, call, confidence, novelty; cells whose
    novelty is above `threshold` are unassigned.
    """
    where = places(cells)
    numbers = {name: code for code, name in enumerate(cell_types)}
    labels = cells["label"].map(numbers).fillna(UNASSIGNED).to_numpy(dtype=int)
    calls = cells["call"].map(numbers).fillna(UNASSIGNED).to_numpy(dtype=int)
    unassigned = is_unassigned(cells, threshold)
    shown = np.where(unassigned, UNASSIGNED, calls)
    wrong = (shown != labels) & ~unassigned
    by_label, by_call = _panel("by label"), _panel("by call")
    _types(by_label, where, labels)
    _types(by_call, where, shown)
    _names(by_label, where, labels, cell_types)
    crosses = "".join(f"M{n(x - 3)} {n(y - 3)}l6 6m0-6l-6 6" for x, y in where[wrong])
    by_call.raw(f'<path class="wrong" d="{crosses}"/>' if crosses else "")
    by_confidence = _panel("by confidence")
    confidence = cells["confidence"].to_numpy(dtype=float)
    for low, _, css in reversed(CONFIDENCES):
        high = next((other for other, _, _ in CONFIDENCES if other > low), 2.0)
        chosen = where[(confidence >= low) & (confidence < high)]
        by_confidence.raw(_dots(chosen, css))
    return {"label": by_label.markup(), "call": by_call.markup(), "confidence": by_confidence.markup()}


def is_unassigned(cells: pd.DataFrame, threshold: float | None) -> np.ndarray:
    """Whether the service would leave a cell unassigned, bool [cells]."""
    if threshold is None or "novelty" not in cells:
        return np.zeros(len(cells), dtype=bool)
    novelty = pd.to_numeric(cells["novelty"], errors="coerce").to_numpy(dtype=float)
    return np.asarray(novelty > threshold)


def _panel(by: str) -> Svg:
    svg = Svg(SIZE, SIZE, f"Map of held-out cells {by}")
    svg.raw(f'<rect class="frame" x=".5" y=".5" width="{SIZE - 1}" height="{SIZE - 1}" rx="6"/>')
    return svg


def _types(svg: Svg, where: np.ndarray, codes: np.ndarray) -> None:
    present, sizes = np.unique(codes, return_counts=True)
    for code in present[np.argsort(-sizes, kind="stable")]:
        found = where[codes == code]
        if code == UNASSIGNED:
            rings = "".join(f"M{n(x - 3)} {n(y)}a3 3 0 1 0 6 0a3 3 0 1 0-6 0" for x, y in found)
            svg.raw(f'<path class="unassigned" d="{rings}"/>')
        else:
            colour, shape = style_of(int(code))
            svg.raw(_dots(found, f"{colour} t{code + 1}", shape=shape))


def style_of(code: int) -> tuple[str, int]:
    """The class of a type's colour, and the number of its mark."""
    return f"k{code % len(COLOURS)}", code // len(COLOURS)


def _dots(where: np.ndarray, css: str, *, shape: int = 0) -> str:
    if len(where) == 0:
        return ""
    if shape == 0:
        marks = "".join(f"M{n(x)} {n(y)}h0" for x, y in where)
        return f'<path class="dots {css}" d="{marks}"/>'
    mark = SHAPES[(shape - 1) % len(SHAPES)]
    marks = "".join(f"M{n(x)} {n(y)}{mark}" for x, y in where)
    return f'<path class="marks {css}" d="{marks}"/>'


def _names(svg: Svg, where: np.ndarray, labels: np.ndarray, cell_types: Sequence[str]) -> None:
    """Each type's name beside or on its cells, with a line where it had to move; numbers where names have no room."""
    present = [code for code in range(len(cell_types)) if (labels == code).any()]
    if not present:
        return
    names = clip_all(cell_types, LONGEST)
    numbers = [str(code + 1) for code in range(len(cell_types))]
    for texts in (names, numbers) if len(cell_types) <= MOST_NAMES else (numbers,):
        sizes = np.array([[width_of([texts[code]], LETTERS) + 4, LETTERS + 3] for code in present])
        anchors = np.array([_wanted(where[labels == code], size) for code, size in zip(present, sizes, strict=True)])
        centres, fits = place_labels(anchors, sizes, width=SIZE - 4, height=SIZE - 4)
        if fits and sizes.prod(axis=1).sum() < MOST_COVERED * SIZE**2:
            break
    for (x, y), anchor, size in zip(centres, anchors, sizes, strict=True):
        if (np.abs(anchor - (x, y)) > 0.5 * size + 4).any():
            svg.line(float(anchor[0]), float(anchor[1]), x, y, "lead")
    for code, (x, y) in zip(present, centres, strict=True):
        svg.text(x, y + 4, texts[code], anchor="middle", kind="name", href=f"#type-{code + 1}")


def _wanted(cells: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Where a label of this size is to be: on the cells, or above them where it would hide many of them."""
    middle = cells[np.linalg.norm(cells - np.median(cells, axis=0), axis=1).argmin()]
    low, high = np.percentile(cells, [10, 90], axis=0)
    if (high - low).prod() < 4 * size.prod():  # strays lie elsewhere
        return np.array([middle[0], middle[1] - 1.4 * max(middle[1] - low[1], 0) - 0.5 * size[1] - 4])
    return np.asarray(middle)


def legend(cell_types: Sequence[str], cells: pd.DataFrame) -> list[dict[str, object]]:
    """Number, name, cells shown and mark (as a picture) of every type."""
    sizes = cells["label"].value_counts()
    rows: list[dict[str, object]] = []
    for code, name in enumerate(cell_types):
        colour, shape = style_of(code)
        mark = (
            f'<circle cx="7" cy="7" r="4" class="{colour}"/>'
            if shape == 0
            else f'<path class="{colour}" d="M7 7{SHAPES[(shape - 1) % len(SHAPES)]}" {LARGER}/>'
        )
        svg = Markup(f'<svg width="14" height="14" aria-hidden="true">{mark}</svg>')  # noqa: S704  # no text in it
        rows.append({"number": code + 1, "name": name, "n": int(sizes.get(name, 0)), "mark": svg})
    return rows
