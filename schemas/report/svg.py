"""A small SVG writer, and the axes of curves: every text is escaped, every number is rounded.

The same input gives the same bytes.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

BLUE, ORANGE, GREY = ".blue", ".orange", ".grey"
"""Paints are colours or, after a dot, classes of `figure.css`, which has others of them on a dark page."""
STEPS = 16
"""Steps of the ramp, from low to high: on white paper from light to dark."""
DARK_FROM = 9
"""The step from which numbers on the ramp are written in the other ink."""
LETTER = 0.64
"""Mean width of a letter, of the font's size."""


def ramp(share: float) -> str:
    """The paint of a share between 0 and 1."""
    return f".r{step_of(share)}"


def step_of(share: float) -> int:
    """The step of the ramp of a share between 0 and 1."""
    return min(int(min(max(share, 0.0), 1.0) * STEPS), STEPS - 1)


def ink_on(share: float) -> str:
    """The class of a number that is written on the ramp's paint of a share."""
    return "cell light" if step_of(share) >= DARK_FROM else "cell"


def fill(paint: str) -> str:
    """The attribute that fills a shape."""
    return f'class="{paint[1:]}"' if paint.startswith(".") else f'fill="{paint}"'


def n(value: float) -> str:
    """A coordinate: at most one decimal."""
    text = f"{value:.1f}"
    return text[:-2] if text.endswith(".0") else text


def clip(text: str, longest: int) -> str:
    """Shortened in the middle, as names of subtypes differ at their end."""
    if len(text) <= longest:
        return text
    head = (longest - 1) // 2
    return f"{text[:head]}…{text[-(longest - 1 - head) :]}"


def clip_all(names: Sequence[str], longest: int) -> list[str]:
    """Each shortened; those that would look like another one with their number before them, counted from 1."""
    short = [clip(name, longest) for name in names]
    looks = Counter(short)
    return [
        text if looks[text] == 1 else f"{number} {clip(name, longest - len(str(number)) - 1)}"
        for number, (name, text) in enumerate(zip(names, short, strict=True), start=1)
    ]


def width_of(texts: Iterable[str], size: float) -> float:
    """Pixels that the longest of the texts takes, about."""
    return max((len(text) for text in texts), default=0) * LETTER * size


class Svg:
    """A picture of `width` x `height` pixels. `label`: what it shows, for those who cannot see it."""

    def __init__(self, width: float, height: float, label: str) -> None:
        self.width, self.height, self.label = width, height, label
        self._parts: list[str] = []

    def raw(self, markup: str) -> None:
        """Markup that holds no text of others."""
        self._parts.append(markup)

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str = "grid") -> None:
        self.raw(f'<path class="{kind}" d="M{n(x1)} {n(y1)}L{n(x2)} {n(y2)}"/>')

    def rect(
        self, x: float, y: float, width: float, height: float, paint: str, *, tip: str = "", more: str = ""
    ) -> None:
        at = f'x="{n(x)}" y="{n(y)}" width="{n(width)}" height="{n(height)}"'
        self._shape(f"<rect {at} {fill(paint)}{more}", "rect", tip)

    def circle(self, x: float, y: float, r: float, paint: str, *, tip: str = "", more: str = "") -> None:
        self._shape(f'<circle cx="{n(x)}" cy="{n(y)}" r="{n(r)}" {fill(paint)}{more}', "circle", tip)

    def path(self, points: Sequence[tuple[float, float]], paint: str, *, more: str = "") -> None:
        """A line; its paint is one of the classes."""
        where = "L".join(f"{n(x)} {n(y)}" for x, y in points)
        self.raw(f'<path class="line {paint[1:]}" d="M{where}"{more}/>')

    def shape(self, where: str, css: str, *, tip: str = "") -> None:
        """A filled shape. `where`: its path, which holds numbers alone; `css`: the class of its colour."""
        self._shape(f'<path class="{css}" d="{where}"', "path", tip)

    def ring(self, x: float, y: float, size: float, paint: str, *, tip: str = "") -> None:
        """A hollow square with its middle at the place."""
        at = f'x="{n(x - size / 2)}" y="{n(y - size / 2)}" width="{n(size)}" height="{n(size)}"'
        self._shape(f'<rect class="ring {paint[1:]}" {at}', "rect", tip)

    def text(
        self, x: float, y: float, text: str, *, anchor: str = "start", kind: str = "", turn: int = 0, href: str = ""
    ) -> None:
        """`anchor`: start, middle or end. `turn`: degrees. `href`: where a click leads."""
        place = f' transform="rotate({turn} {n(x)} {n(y)})"' if turn else ""
        css = f' class="{kind}"' if kind else ""
        side = "" if anchor == "start" else f' text-anchor="{anchor}"'
        written = f'<text x="{n(x)}" y="{n(y)}"{side}{css}{place}>{escape(text)}</text>'
        self.raw(f'<a href="{escape(href)}">{written}</a>' if href else written)

    def _shape(self, start: str, tag: str, tip: str) -> None:
        self.raw(f"{start}><title>{escape(tip)}</title></{tag}>" if tip else f"{start}/>")

    def markup(self) -> Markup:
        """The picture, as wide as its place allows and never larger than it was drawn."""
        size = f'viewBox="0 0 {n(self.width)} {n(self.height)}" width="{n(self.width)}" height="{n(self.height)}"'
        return Markup(  # noqa: S704  # every text in it was escaped where it was added
            f'<svg role="img" aria-label="{escape(self.label)}" {size}>{"".join(self._parts)}</svg>'
        )


@dataclass(frozen=True)
class Frame:
    """Inner edges in pixels and the values there. `log`: of the horizontal axis."""

    left: float
    top: float
    right: float
    bottom: float
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    log: bool = False

    def x(self, value: float) -> float:
        low, high = self.x_range
        if self.log:
            low, high, value = math.log10(low), math.log10(high), math.log10(max(value, 1e-12))
        return self.left + (value - low) / (high - low) * (self.right - self.left)

    def y(self, value: float) -> float:
        low, high = self.y_range
        return self.bottom - (value - low) / (high - low) * (self.bottom - self.top)

    def draw(
        self,
        svg: Svg,
        *,
        x_ticks: Sequence[tuple[float, str]],
        y_ticks: Sequence[tuple[float, str]] = (),
        x_label: str = "",
        y_label: str = "",
    ) -> None:
        """Grid, ticks and the axes' names."""
        for value, text in x_ticks:
            svg.line(self.x(value), self.top, self.x(value), self.bottom)
            svg.text(self.x(value), self.bottom + 16, text, anchor="middle", kind="tick")
        for value, text in y_ticks:
            svg.line(self.left, self.y(value), self.right, self.y(value))
            svg.text(self.left - 7, self.y(value) + 4, text, anchor="end", kind="tick")
        if x_label:
            svg.text((self.left + self.right) / 2, self.bottom + 35, x_label, anchor="middle", kind="axis")
        if y_label:
            svg.text(13, (self.top + self.bottom) / 2, y_label, anchor="middle", kind="axis", turn=-90)


def share_ticks(low: float, high: float = 1.0, *, steps: int = 5, percent: bool = True) -> list[tuple[float, str]]:
    """Round ticks of a share, in per cent, or as the score that it is."""
    for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25):
        if (high - low) / step <= steps + 0.01:
            break
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    digits = 0 if step >= 0.01 else 1
    if not percent:
        return [(k * step, f"{k * step:.{digits + 2}f}") for k in range(first, last + 1)]
    return [(k * step, f"{100 * k * step:.{digits}f} %") for k in range(first, last + 1)]


def floor_of(values: Sequence[float], *, step: float = 0.1, least: float = 0.0, span: float = 0.2) -> float:
    """Where an axis of shares up to 1 begins: below the smallest value, on a round one, at most `1 - span`."""
    lowest = min(values, default=0.0)
    return max(least, min(math.floor((lowest - 0.02) / step) * step, 1 - span))


def log_ticks(low: float, high: float) -> list[tuple[float, str]]:
    """1, 2 and 5 of each power of ten between the two."""
    found = [k * 10.0**power for power in range(8) for k in (1, 2, 5)]
    return [(value, f"{value:,.0f}") for value in found if low <= value <= high]


def plain_ticks(low: float, high: float, *, most: int = 5) -> list[tuple[float, str]]:
    """At most `most` round values between the two."""
    power = 10.0 ** math.floor(math.log10(max(high - low, 1e-9)))
    for step in (power / 10, power / 5, power / 2, power, 2 * power, 5 * power):
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first < most:
            break
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(k * step, f"{k * step:.{digits}f}") for k in range(first, last + 1)]
