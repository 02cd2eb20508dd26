"""The small pictures in the table of samples."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from cellmark.schemas.report.svg import Svg, n

from .report_words import number, share

BAR_WIDTH, BAR_HEIGHT = 300, 18
DENSITY_WIDTH, DENSITY_HEIGHT = 110, 26
LEAST_WIDTH = 0.1
"""Pixels of a type's part of a bar below which it is not drawn."""


def composition_bar(types: Mapping[str, int], order: Mapping[str, int], *, name: str) -> Markup:
    """Cells by type, as parts of a bar. `order`: place of each type, which is the number of its class; `name`: of the
    sample, for those who cannot see it.
    """
    total = max(sum(types.values()), 1)
    largest = ", ".join(f"{one} {share(cells, total)}" for one, cells in most_common(types, 3))
    svg = Svg(BAR_WIDTH, BAR_HEIGHT, f"Composition of {name}: {largest}")
    x = 0.0
    for one in sorted(types, key=lambda one: order.get(one, len(order))):
        width = BAR_WIDTH * types[one] / total
        if width >= LEAST_WIDTH:
            tip = f"{one}: {number(types[one], 'cell')} ({share(types[one], total)})"
            at = f'class="t{order.get(one, len(order))}" x="{n(x)}" width="{n(max(width - 0.4, 0.3))}"'
            svg.raw(f'<rect {at} height="{BAR_HEIGHT}"><title>{escape(tip)}</title></rect>')
        x += width
    return svg.markup()


def density(histogram: Sequence[int], *, name: str) -> Markup:
    """Confidences from 0 to 1 as an area, of which that below 0.5 has a colour of its own."""
    bins, largest = len(histogram), max([*histogram, 1])
    svg = Svg(DENSITY_WIDTH, DENSITY_HEIGHT, f"Confidence of {name}, from 0 to 1")
    floor = DENSITY_HEIGHT - 1
    width = DENSITY_WIDTH / max(bins, 1)
    for first, last, css in ((0, bins // 2, "unsure"), (bins // 2, bins, "sure")):
        steps = "".join(
            f"V{n(floor - (floor - 2) * histogram[one] / largest)}H{n((one + 1) * width)}" for one in range(first, last)
        )
        if any(histogram[first:last]):
            svg.raw(f'<path class="{css}" d="M{n(first * width)} {floor}{steps}V{floor}z"/>')
    svg.line(0, floor, DENSITY_WIDTH, floor, "axis-line")
    return svg.markup()


def most_common(types: Mapping[str, int], most: int) -> list[tuple[str, int]]:
    """Types with cells, the most common first."""
    return sorted(((one, cells) for one, cells in types.items() if cells), key=lambda item: -item[1])[:most]
