"""A UMAP of held-out cells, from the network's embedding, three times: by label, by call, by confidence."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import COLOURS, GREY, Svg, clip, n, width_of

SIZE, EDGE = 340, 14
MOST_NAMES = 14
CONFIDENCES = (
    (0.0, "below 0.5", "#7F2704"),
    (0.5, "0.5 to 0.8", "#D55E00"),
    (0.8, "0.8 to 0.95", "#F0A860"),
    (0.95, "0.95 and above", "#A9C6DC"),
)
SHAPES = ("m-2.2-2.2h4.4v4.4h-4.4z", "m0-3l2.8 5h-5.6z", "m0 3l2.8-5h-5.6z", "m0-3l3 3-3 3-3-3z")
"""Marks of types beyond the first eight, whose points are round."""
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
    for low, _, colour in reversed(CONFIDENCES):
        high = next((other for other, _, _ in CONFIDENCES if other > low), 2.0)
        chosen = where[(confidence >= low) & (confidence < high)]
        by_confidence.raw(_dots(chosen, colour, "conf"))
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
            svg.raw(_dots(found, COLOURS[code % 8], f"t{code + 1}", shape=int(code) // 8))


def _dots(where: np.ndarray, colour: str, css: str, *, shape: int = 0) -> str:
    if len(where) == 0:
        return ""
    if shape == 0:
        marks = "".join(f"M{n(x)} {n(y)}h0" for x, y in where)
        return f'<path class="dots {css}" stroke="{colour}" d="{marks}"/>'
    mark = SHAPES[(shape - 1) % len(SHAPES)]
    marks = "".join(f"M{n(x)} {n(y)}{mark}" for x, y in where)
    return f'<path class="marks {css}" fill="{colour}" d="{marks}"/>'


def _names(svg: Svg, where: np.ndarray, labels: np.ndarray, cell_types: Sequence[str]) -> None:
    """Each type's name, or its number where there are many, at the middle of its cells; moved down while covered."""
    taken: list[tuple[float, float, float]] = []
    many = len(cell_types) > MOST_NAMES
    for code in range(len(cell_types)):
        found = where[labels == code]
        if len(found) == 0:
            continue
        text = str(code + 1) if many else clip(cell_types[code], 20)
        half = width_of([text], 12) / 2 + 3
        x, y = np.median(found, axis=0)
        low, high = np.percentile(found, [10, 90], axis=0)
        if (high - low).prod() < 3 * half * 28:  # too few to be written on: above them
            y = low[1] - 0.4 * (y - low[1]) - 10  # strays lie elsewhere
        x = float(np.clip(x, half + 2, SIZE - half - 2))
        for step in range(24):
            at = float(y) + (step // 2 + 1) * 7 * (1 if step % 2 else -1) if step else float(y)
            free = all(abs(at - other) > 14 or abs(x - there) > half + wide for there, other, wide in taken)
            if free and 10 < at < SIZE - 6:
                break
        taken.append((x, at, half))
        svg.text(x, at + 4, text, anchor="middle", kind="name", href=f"#type-{code + 1}")


def legend(cell_types: Sequence[str], cells: pd.DataFrame) -> list[dict[str, object]]:
    """Number, name, cells shown and mark (as a picture) of every type."""
    sizes = cells["label"].value_counts()
    rows: list[dict[str, object]] = []
    for code, name in enumerate(cell_types):
        colour, shape = COLOURS[code % 8], code // 8
        mark = (
            f'<circle cx="7" cy="7" r="4" fill="{colour}"/>'
            if shape == 0
            else f'<path fill="{colour}" d="M7 7{SHAPES[(shape - 1) % len(SHAPES)]}" {LARGER}/>'
        )
        svg = Markup(f'<svg width="14" height="14" aria-hidden="true">{mark}</svg>')  # noqa: S704  # no text in it
        rows.append({"number": code + 1, "name": name, "n": int(sizes.get(name, 0)), "mark": svg})
    return rows


__all__ = ["CONFIDENCES", "GREY", "is_unassigned", "legend", "map_panels", "places"]
