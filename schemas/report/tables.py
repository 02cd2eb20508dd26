"""Pictures with one row or column for every cell type: confusion, expression of markers, spreads, numbers of cells."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup

from .svg import BLUE, Frame, Svg, clip, clip_all, ink_on, log_ticks, n, plain_ticks, ramp, width_of

LONGEST = 24


def heading_space(names: Sequence[str]) -> float:
    """Height that names take that are written at a slant."""
    return width_of(names, 12) * 0.72 + 22


def slanted(svg: Svg, x: float, y: float, name: str, *, href: str = "") -> None:
    """A column's name, rising to the right."""
    svg.text(x, y, name, turn=-45, href=href)


def confusion_chart(confusion: Sequence[Sequence[int]], cell_types: Sequence[str], *, part: str) -> Markup:
    """Labels in rows, calls in columns; the colour is the share of the label's cells, the number their count."""
    counts = np.asarray(confusion, dtype=float)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    names = clip_all(cell_types, LONGEST)
    step = 34 if len(names) <= 14 else 26 if len(names) <= 22 else 23
    small = "" if step > 23 else " small"
    left, top = 14 + width_of(names, 12), heading_space(names)
    size = step * len(names)
    svg = Svg(left + size + top * 0.8 + 8, top + size + 8, f"Confusion of {int(counts.sum()):,} {part} cells")
    svg.rect(left, top, size, size, ramp(0))
    for place, name in enumerate(names):
        middle = (place + 0.5) * step
        svg.text(left - 8, top + middle + 4, name, anchor="end", href=f"#type-{place + 1}")
        slanted(svg, left + middle + 3, top - 8, name)
        svg.line(left, top + place * step, left + size, top + place * step)
        svg.line(left + place * step, top, left + place * step, top + size)
    for row, column in zip(*np.nonzero(counts), strict=True):
        x, y, share = left + column * step, top + row * step, shares[row, column]
        tip = (
            f"{cell_types[row]} called {cell_types[column]}: {counts[row, column]:,.0f} cells, {share:.1%} of the label"
        )
        svg.rect(x + 0.5, y + 0.5, step - 1, step - 1, ramp(float(share)), tip=tip)
        number = _short(int(counts[row, column]))
        svg.text(x + step / 2, y + step / 2 + 4, number, anchor="middle", kind=ink_on(float(share)) + small)
    return svg.markup()


def _short(value: int) -> str:
    return f"{value / 1000:.0f}k" if value >= 10_000 else str(value)


def expression(markers: pd.DataFrame, genes: Sequence[str], cell_types: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Mean expression and fraction expressing, [genes, types], 0 where the table has no row."""
    shown = markers[markers["gene_symbol"].isin(set(genes))]

    def wide(column: str) -> np.ndarray:
        table = shown.pivot_table(index="gene_symbol", columns="cell_type", values=column, observed=True)
        values = table.reindex(index=list(genes), columns=list(cell_types)).to_numpy(dtype=float)
        return np.asarray(np.nan_to_num(values))

    return wide("mean_in"), wide("fraction_in")


def dot_chart(
    mean: np.ndarray, fraction: np.ndarray, genes: Sequence[str], cell_types: Sequence[str], *, own: Sequence[int] = ()
) -> Markup:
    """A dot's size is the fraction of a type's cells with a count of the gene, its colour the mean expression as a
    share of the gene's largest. `mean`, `fraction`: [genes, types]. `own`: of each row, the type that it marks.
    """
    svg, place = _grid(genes, cell_types, own, f"Expression of {len(genes)} genes in {len(cell_types)} cell types")
    largest = np.maximum(mean.max(axis=1, keepdims=True), 1e-9)
    for row, column in zip(*np.nonzero(fraction >= 0.005), strict=True):
        x, y = place(row, column)
        tip = (
            f"{genes[row]} in {cell_types[column]}: {fraction[row, column]:.0%} of cells, mean {mean[row, column]:.2f}"
        )
        radius = dot_radius(float(fraction[row, column]))
        colour = ramp(0.08 + 0.92 * float(mean[row, column] / largest[row, 0]))
        svg.circle(x, y, radius, colour, tip=tip)
    return svg.markup()


def dot_radius(fraction: float) -> float:
    """Pixels of the dot of a share of cells: its area grows with the share."""
    return 1.2 + 6.6 * float(np.sqrt(fraction))


def size_key() -> Markup:
    """What the sizes of dots mean."""
    svg = Svg(230, 24, "Sizes of dots: 5, 25, 50 and 100 % of the cells")
    for place, share in enumerate((0.05, 0.25, 0.5, 1.0)):
        svg.circle(10 + 56 * place, 12, dot_radius(share), ramp(0.6))
        svg.text(22 + 56 * place, 16, f"{100 * share:.0f} %", kind="tick")
    return svg.markup()


def colour_key(largest: str) -> Markup:
    """What the colours between none and the largest mean. `largest`: in words."""
    svg = Svg(170 + width_of([largest], 12), 24, f"Colours from 0 to {largest}")
    svg.text(6, 16, "0", kind="tick")
    for place in range(12):
        svg.rect(20 + 11 * place, 5, 11, 14, ramp(place / 11))
    svg.text(158, 16, largest, kind="tick")
    return svg.markup()


def heat_chart(mean: np.ndarray, genes: Sequence[str], cell_types: Sequence[str], *, own: Sequence[int] = ()) -> Markup:
    """Mean ln(1 + counts per 10,000), one scale for all genes. `mean`: [genes, types]."""
    svg, place = _grid(genes, cell_types, own, f"Mean expression of {len(genes)} genes in {len(cell_types)} cell types")
    largest = max(float(mean.max(initial=0)), 1e-9)
    for row in range(mean.shape[0]):
        for column in range(mean.shape[1]):
            x, y = place(row, column)
            tip = f"{genes[row]} in {cell_types[column]}: {mean[row, column]:.2f}"
            svg.rect(x - 11, y - 9, 22, 18, ramp(float(mean[row, column]) / largest), tip=tip)
    return svg.markup()


def _grid(
    genes: Sequence[str], cell_types: Sequence[str], own: Sequence[int], label: str
) -> tuple[Svg, Callable[[int, int], tuple[float, float]]]:
    """A picture with genes in rows and types in columns, and where the middle of each cell lies."""
    names, symbols = clip_all(cell_types, LONGEST), [clip(gene, 16) for gene in genes]
    left, top = 14 + width_of(symbols, 12), heading_space(names)
    svg = Svg(left + 22 * len(names) + top * 0.85, top + 18 * len(symbols) + 6, label)

    def place(row: int, column: int) -> tuple[float, float]:
        return left + 22 * (column + 0.5), top + 18 * (row + 0.5)

    for column, name in enumerate(names):
        slanted(svg, left + 22 * (column + 0.5) + 3, top - 7, name, href=f"#type-{column + 1}")
    for row, symbol in enumerate(symbols):
        svg.text(left - 7, place(row, 0)[1] + 4, symbol, anchor="end", kind="gene")
    for row, column in enumerate(own):
        x, y = place(row, column)
        svg.rect(x - 11, y - 9, 22, 18, ".own")
    return svg, place


def spread_chart(
    spreads: Mapping[str, Sequence[float]],
    cell_types: Sequence[str],
    *,
    label: str,
    of: str = "training",
    log: bool = True,
) -> Markup:
    """5 to 95 % as a line, 25 to 75 % as a bar, the median as a dot; a row for every type that has quantiles. `of`:
    which cells; `log`: of the axis, for numbers of at least 1.
    """
    shown = [name for name in cell_types if name in spreads]
    short = dict(zip(cell_types, clip_all(cell_types, LONGEST), strict=True))
    names = [short[name] for name in shown]
    left, bottom = 16 + width_of(names, 12), 10 + 20 * len(names)
    low, high = min(spreads[name][0] for name in shown), max(spreads[name][-1] for name in shown)
    if log:
        low, high = max(low * 0.9, 1.0), max(high * 1.1, 2.0)
    else:
        room = max(0.05 * (high - low), 1e-3)
        low, high = low - room, high + room
    svg = Svg(left + 260, bottom + 42, f"{label} of the {of} cells of each type")
    frame = Frame(left, 6, left + 240, bottom, (low, high), (0, 1), log=log)
    ticks = log_ticks(low, high) if log else plain_ticks(low, high)
    frame.draw(svg, x_ticks=ticks if len(ticks) <= 5 else ticks[:: -(-len(ticks) // 5)], x_label=label)
    for row, name in enumerate(shown):
        first, lower, middle, upper, last = (frame.x(max(value, low)) for value in spreads[name])
        y = 6 + 20 * (row + 0.5)
        svg.text(left - 8, y + 4, names[row], anchor="end", href=f"#type-{cell_types.index(name) + 1}")
        svg.raw(f'<path class="line grey" d="M{n(first)} {n(y)}H{n(last)}" stroke-width="1.5"/>')
        svg.rect(lower, y - 4.5, max(upper - lower, 1), 9, ".half")
        median = f"{spreads[name][2]:,.0f}" if log else f"{spreads[name][2]:.3g}"
        svg.circle(middle, y, 3.6, BLUE, tip=f"{name}: median {median}")
    return svg.markup()


def donors_chart(cells: Mapping[str, Mapping[str, int]], cell_types: Sequence[str]) -> Markup:
    """Cells of each type and donor: the number, on a colour of its logarithm."""
    donors = sorted({donor for name in cell_types for donor in cells.get(name, {})})
    names = clip_all(cell_types, LONGEST)
    heads = [clip(donor, 18) for donor in donors] if donors != [""] else ["cells"]
    left, top, wide = 16 + width_of(names, 12), heading_space(heads), 46
    svg = Svg(left + wide * len(donors) + top * 0.85, top + 20 * len(names) + 6, "Cells of each type and donor")
    largest = max((count for name in cell_types for count in cells.get(name, {}).values()), default=1)
    for column, head in enumerate(heads):
        slanted(svg, left + wide * (column + 0.5), top - 7, head)
    for row, name in enumerate(cell_types):
        y = top + 20 * row
        svg.text(left - 8, y + 14, names[row], anchor="end", href=f"#type-{row + 1}")
        for column, donor in enumerate(donors):
            count = cells.get(name, {}).get(donor, 0)
            share = np.log1p(count) / np.log1p(largest)
            svg.rect(left + wide * column + 1, y + 1, wide - 2, 18, ramp(float(share)) if count else ".none")
            number = f"{count:,}" if count else "–"
            svg.text(left + wide * (column + 0.5), y + 14, number, anchor="middle", kind=ink_on(float(share)))
    return svg.markup()
