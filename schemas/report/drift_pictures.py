"""The pictures of a drift report: spreads beside those of held-out cells, composition, and cells in the flat view.

Paints are classes of the page's style (`drift.css`), which has a light and a dark set.
"""

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

from ..drift.drift_report import DriftReport
from ..drift.drift_words import NAMES, short_percent
from ..drift.reference_plane import TypeInPlane
from ..drift.spreads import CellsInPlane, Spread
from ..reference_profile import RATIOS
from .svg import Frame, Svg, clip, log_ticks, n, plain_ticks, share_ticks, width_of

BLUE, GREY, ORANGE = "#0072B2", "#5B6670", "#D55E00"
WIDTH = 362
"""Fits a phone of 390 pixels without being made smaller."""
MOST_TYPES = 14
LONGEST_NAME = 17
ROW, THICK, THIN = 30, 8, 2.5
SHARES = ("confidence", "mitochondrial_share")
REFERENCE, NEW, OFF = ".ref", ".new", ".off"
LOW, FIRST, MIDDLE, THIRD, HIGH = range(5)


def spread_charts(report: DriftReport) -> list[tuple[str, Markup]]:
    """A picture for each measure that both sides have, by its name."""
    names = dict.fromkeys(one.measure for one in report.spreads)
    charts = []
    for name in names:
        rows = [one for one in report.spreads if one.measure == name]
        overall, types = rows[0], sorted(rows[1:], key=lambda one: -one.n_cells)
        shown = [one for one in types if one.observed is not None and one.expected is not None][:MOST_TYPES]
        if overall.observed is not None:
            charts.append((NAMES[name], _spreads(name, [overall, *shown])))
    return charts


def _spreads(measure: str, rows: Sequence[Spread]) -> Markup:
    names = ["all cells" if one.cell_type is None else clip(one.cell_type, LONGEST_NAME) for one in rows]
    left = 14 + width_of(names, 12)
    values = [value for one in rows for side in (one.observed, one.expected) if side is not None for value in side]
    low, high = min(values), max(values)
    log = measure in RATIOS and low > 0
    if log:
        low, high = low * 0.85, high * 1.15
        ticks = [tick for tick in log_ticks(low, high) if _is_round(tick[0], high / low)]
    elif measure in SHARES:
        low, high = (max(0.0, low - 0.03), 1.0) if measure == "confidence" else (0.0, max(high * 1.05, 0.01))
        ticks = share_ticks(low, high, steps=4)
    else:
        low, high = low - 0.05 * max(high - low, 1e-6), high + 0.05 * max(high - low, 1e-6)
        ticks = plain_ticks(low, high, most=5)
    bottom = 6 + ROW * len(rows)
    svg = Svg(WIDTH, bottom + 24, f"{NAMES[measure]}: new cells beside held-out cells of the training, by type")
    frame = Frame(left, 4, WIDTH - 22, bottom, (low, high), (0, 1), log=log)
    frame.draw(svg, x_ticks=ticks)
    for place, (name, one) in enumerate(zip(names, rows, strict=True)):
        y = 6 + ROW * (place + 0.5)
        svg.text(left - 8, y + 4, name, anchor="end", kind="name")
        if one.expected is not None:
            tip = f"{name}, held-out cells: {_in_words(measure, one.expected)}"
            _bar(svg, frame, y - 5, one.expected, REFERENCE, tip)
        if one.observed is not None:
            tip = f"{name}, {one.n_cells:,} new cells: {_in_words(measure, one.observed)}"
            _bar(svg, frame, y + 5, one.observed, OFF if is_off(one) else NEW, tip)
    return svg.markup()


def is_off(spread: Spread) -> bool:
    """Whether the median of new cells is one that fewer than 5 % of the held-out cells reach."""
    if spread.observed is None or spread.expected is None:
        return False
    return not spread.expected[LOW] <= spread.observed[MIDDLE] <= spread.expected[HIGH]


def _is_round(value: float, span: float) -> bool:
    """Whether a tick has room: over more than a power of ten, 2 and 5 stand too close."""
    return span < 12 or value == 10.0 ** round(np.log10(value))


def _bar(svg: Svg, frame: Frame, y: float, values: Sequence[float], paint: str, tip: str) -> None:
    x = [frame.x(value) for value in values]
    svg.rect(x[LOW], y - THIN / 2, max(x[HIGH] - x[LOW], 1), THIN, paint)
    width = max(x[THIRD] - x[FIRST], 1.5)
    svg.rect(x[FIRST], y - THICK / 2, width, THICK, paint, tip=tip, more=' rx="2"')
    svg.rect(x[MIDDLE] - 1, y - THICK / 2 - 1, 2, THICK + 2, ".median")


def _in_words(measure: str, values: Sequence[float]) -> str:
    def word(value: float) -> str:
        if measure in SHARES:
            return short_percent(value)
        return f"{value:,.0f}" if measure in RATIOS else f"{value:.3g}"

    return f"median {word(values[MIDDLE])}, half from {word(values[FIRST])} to {word(values[THIRD])}"


def composition_chart(report: DriftReport) -> Markup:
    """Shares of called types, new cells beside held-out ones, and cells that stay unassigned."""
    types = sorted(report.cell_types, key=lambda one: -max(one.share, one.expected_share))
    rows: list[tuple[str, float | None, float | None]] = [
        (one.cell_type, one.share, one.expected_share) for one in types[: 2 * MOST_TYPES]
    ]
    refused = report.measure("unassigned")
    if refused.expected is not None:
        rows.append(("unassigned", refused.observed, refused.expected))
    names = [clip(name, LONGEST_NAME) for name, _, _ in rows]
    left = 14 + width_of(names, 12)
    most = max([share for _, *shares in rows for share in shares if share is not None], default=0) or 1.0
    bottom = 6 + ROW * len(rows)
    svg = Svg(WIDTH, bottom + 6, "Share of each called type, new cells beside held-out cells of the training")
    frame = Frame(left, 4, WIDTH - 52, bottom, (0, most), (0, 1))
    for place, (name, (_, observed, expected)) in enumerate(zip(names, rows, strict=True)):
        y = 6 + ROW * (place + 0.5)
        svg.text(left - 8, y + 4, name, anchor="end", kind="name")
        for share, at, paint in ((expected, y - 11, REFERENCE), (observed, y + 1, NEW)):
            if share is None:
                continue
            side = "held-out cells" if paint == REFERENCE else "new cells"
            tip = f"{name}: {short_percent(share)} of {side}"
            width = max(frame.x(share) - left, 1)
            svg.rect(left, at, width, 10, paint, tip=tip, more=' rx="1.5"')
            svg.text(left + width + 5, at + 9, short_percent(share), kind="value")
    return svg.markup()


EDGE = 8
FAINTEST, DARKEST = 0.3, 1.0


def plane_chart(found: CellsInPlane) -> Markup:
    """New cells over the ellipses of held-out cells."""
    (left, right), (low, high) = found.x_range, found.y_range
    scale = (WIDTH - 2 * EDGE) / (right - left)
    height = min(scale * (high - low), 1.3 * WIDTH)
    scale = min(scale, height / (high - low))
    svg = Svg(WIDTH, height + 2 * EDGE, "New cells in the flat view, over the types' held-out cells")
    shift = (WIDTH - scale * (right - left)) / 2

    def place(x: float, y: float) -> tuple[float, float]:
        return shift + scale * (x - left), EDGE + scale * (high - y)

    for name, one in found.plane.cell_types.items():
        tip = f"{name}: half of {one.n_cells:,} held-out cells"
        _ellipse(svg, place(*one.centre), one, one.radius_50 * scale, "core", tip)
    side = found.size * scale
    most = max(one.n_cells for one in found.bins)
    for one_bin in sorted(found.bins, key=lambda one: one.n_cells):
        share = one_bin.n_unassigned / one_bin.n_cells
        strength = FAINTEST + (DARKEST - FAINTEST) * (np.log1p(one_bin.n_cells) / np.log1p(most))
        x, y = place(one_bin.x, one_bin.y)
        tip = f"{one_bin.n_cells:,} cells" + (f", {short_percent(share)} unassigned" if one_bin.n_unassigned else "")
        paint, more = OFF if share > 0.5 else NEW, f' fill-opacity="{strength:.2f}"'
        svg.rect(x - side / 2, y - side / 2, side, side, paint, tip=tip, more=more)
    for name, one in found.plane.cell_types.items():
        tip = f"{name}: 95 % of {one.n_cells:,} held-out cells"
        _ellipse(svg, place(*one.centre), one, one.radius_95 * scale, "outline", tip)
    centres = [place(*one.centre) for one in found.plane.cell_types.values()]
    for name, (x, y) in zip(found.plane.cell_types, _apart(centres), strict=True):
        shown = clip(name, LONGEST_NAME)
        half = 0.75 * width_of([shown], 12)  # half of a name in wide letters
        at, anchor = (x, "middle") if half < x < WIDTH - half else (2, "start") if x < half else (WIDTH - 2, "end")
        svg.text(at, y + 4, shown, anchor=anchor, kind="halo")
    return svg.markup()


def _ellipse(svg: Svg, centre: tuple[float, float], one: TypeInPlane, radius: float, kind: str, tip: str) -> None:
    """`radius`: pixels for one standard deviation of length 1."""
    xx, xy, yy = one.covariance
    # Pixels count downwards, so both coordinates together change their sign.
    values, vectors = np.linalg.eigh(np.array([[xx, -xy], [-xy, yy]]))
    long, short = radius * np.sqrt(np.maximum(values[::-1], 0))
    turn = np.degrees(np.arctan2(vectors[1, 1], vectors[0, 1]))
    x, y = centre
    svg.raw(
        f'<ellipse class="{kind}" cx="{n(x)}" cy="{n(y)}" rx="{n(long)}" ry="{n(short)}" '
        f'transform="rotate({n(turn)} {n(x)} {n(y)})"><title>{escape(tip)}</title></ellipse>'
    )


def _apart(places: Sequence[tuple[float, float]], *, line: float = 13.5, wide: float = 70) -> list[tuple[float, float]]:
    """Places of names, moved down where one would lie on another."""
    found: list[tuple[float, float]] = [(0.0, 0.0)] * len(places)
    taken: list[tuple[float, float]] = []
    for number in sorted(range(len(places)), key=lambda one: places[one][1]):
        x, y = places[number]
        for other_x, other_y in taken:
            if abs(other_x - x) < wide and y - other_y < line:
                y = other_y + line
        taken.append((x, y))
        found[number] = (x, y)
    return found
