"""Axes of the report's curves: a frame with ticks, and where a value lies in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from .svg import Svg


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
