"""Pictures of the model as a whole: estimates, reliability, what is left of accuracy with less."""

from collections.abc import Sequence

from markupsafe import Markup

from ..manifest.manifest_evaluation import CoveragePoint, DepthPoint, FoldResult, MissingPoint, PartialPanelPoint
from ..manifest.manifest_trust import CalibrationScore, LeftOutType
from .svg import BLUE, GREY, ORANGE, Frame, Svg, clip, floor_of, share_ticks, width_of

WIDTH, HEIGHT = 380, 300
THIN = ' stroke-width="2"'
DASHED = ' stroke-width="2" stroke-dasharray="5 4"'


def folds_chart(folds: Sequence[FoldResult]) -> Markup:
    """Macro-F1 of each fold, of the network and of logistic regression."""
    names = [clip(fold.fold, 18) for fold in folds]
    left = 24 + width_of(names, 12)
    values = [fold.macro_f1 for fold in folds]
    values += [fold.baseline_macro_f1 for fold in folds if fold.baseline_macro_f1 is not None]
    low = floor_of(values)
    bottom = 12 + 26 * len(folds)
    svg = Svg(WIDTH, bottom + 42, "Macro-F1 of every fold, network and logistic regression")
    frame = Frame(left, 8, WIDTH - 22, bottom, (low, 1.0), (0, 1))
    frame.draw(svg, x_ticks=share_ticks(low, percent=False), x_label="macro-F1")
    for row, fold in enumerate(folds):
        y = 8 + 26 * (row + 0.5)
        svg.text(left - 9, y + 4, names[row], anchor="end")
        if fold.baseline_macro_f1 is not None:
            x = frame.x(fold.baseline_macro_f1)
            svg.line(x, y, frame.x(fold.macro_f1), y, "link")
            tip = f"{fold.fold}: logistic regression {fold.baseline_macro_f1:.3f}"
            svg.ring(x, y, 10, ORANGE, tip=tip)
        tip = f"{fold.fold}: network {fold.macro_f1:.3f} on {fold.n_cells:,} cells"
        svg.circle(frame.x(fold.macro_f1), y, 6, BLUE, tip=tip)
    return svg.markup()


def reliability_chart(before: CalibrationScore, after: CalibrationScore) -> Markup:
    """Accuracy against confidence, bins of equally many cells, before and after calibration."""
    bins = [*before.bins, *after.bins]
    low = floor_of([min(one.confidence, one.accuracy) for one in bins])
    frame = Frame(58, 12, WIDTH - 22, HEIGHT - 48, (low, 1.0), (low, 1.0))
    svg = Svg(WIDTH, HEIGHT, "Accuracy against confidence before and after calibration; the diagonal is perfect")
    frame.draw(svg, x_ticks=share_ticks(low), y_ticks=share_ticks(low), x_label="confidence", y_label="accuracy")
    svg.path([(frame.x(low), frame.y(low)), (frame.x(1), frame.y(1))], GREY, more=' stroke-width="1"')
    for found, colour, dash, name in ((before, ORANGE, DASHED, "before"), (after, BLUE, THIN, "after")):
        points = [(frame.x(one.confidence), frame.y(one.accuracy)) for one in found.bins]
        if len(points) > 1:
            svg.path(points, colour, more=dash)
        for (x, y), one in zip(points, found.bins, strict=True):
            tip = f"{name}: confidence {one.confidence:.3f}, accuracy {one.accuracy:.3f}, {one.n_cells:,} cells"
            if name == "before":
                svg.ring(x, y, 7, colour, tip=tip)
            else:
                svg.circle(x, y, 4, colour, tip=tip)
    return svg.markup()


def coverage_chart(points: Sequence[CoveragePoint]) -> Markup:
    """Accuracy of the calls that are at least so confident, against the share of cells that get one."""
    points = sorted(points, key=lambda point: point.share_called)
    low = floor_of([point.accuracy for point in points])
    left = max(0.0, min(point.share_called for point in points) // 0.1 * 0.1)
    left = min(left, 0.8)
    frame = Frame(58, 12, WIDTH - 22, HEIGHT - 48, (left, 1.0), (low, 1.0))
    svg = Svg(WIDTH, HEIGHT, "Accuracy of the most confident cells against their share")
    frame.draw(
        svg,
        x_ticks=share_ticks(left),
        y_ticks=share_ticks(low),
        x_label="share of cells that keep their call",
        y_label="accuracy of these",
    )
    places = [(frame.x(point.share_called), frame.y(point.accuracy)) for point in points]
    svg.path(places, BLUE, more=THIN)
    for (x, y), point in zip(places, points, strict=True):
        tip = (
            f"confidence at least {point.confidence:.2f}: {point.share_called:.1%} of cells, {point.accuracy:.1%} right"
        )
        svg.circle(x, y, 4, BLUE, tip=tip)
    return svg.markup()


def depth_chart(points: Sequence[DepthPoint]) -> Markup:
    """Accuracy and macro-F1 when only a share of the counts is left."""
    points = sorted(points, key=lambda point: point.share_of_counts)
    values = [value for point in points for value in (point.accuracy, point.macro_f1)]
    low = floor_of(values)
    frame = Frame(58, 12, WIDTH - 22, HEIGHT - 48, (0.0, 1.0), (low, 1.0))
    svg = Svg(WIDTH, HEIGHT, "Accuracy and macro-F1 against the share of counts that is left")
    ticks = [(point.share_of_counts, f"{100 * point.share_of_counts:.0f} %") for point in points]
    frame.draw(
        svg,
        x_ticks=ticks,
        y_ticks=share_ticks(low, percent=False),
        y_label="macro-F1, accuracy",
        x_label="counts left of each cell",
    )
    for name, colour, style in (("accuracy", ORANGE, DASHED), ("macro_f1", BLUE, THIN)):
        places = [(frame.x(point.share_of_counts), frame.y(getattr(point, name))) for point in points]
        svg.path(places, colour, more=style)
        for (x, y), point in zip(places, points, strict=True):
            tip = f"{point.share_of_counts:.0%} of the counts: {name.replace('_f1', '-F1')} {getattr(point, name):.3f}"
            _mark(svg, x, y, colour, tip, square=name == "accuracy")
    return svg.markup()


def partial_panel_chart(points: Sequence[PartialPanelPoint]) -> Markup:
    """Accuracy and macro-F1 when a share of the panel's genes, drawn at random, was not measured."""
    points = sorted(points, key=lambda point: point.share_missing)
    low = floor_of([value for point in points for value in (point.accuracy, point.macro_f1)])
    right = max(0.5, points[-1].share_missing)
    frame = Frame(58, 12, WIDTH - 22, HEIGHT - 48, (0.0, right), (low, 1.0))
    svg = Svg(WIDTH, HEIGHT, "Accuracy and macro-F1 against the share of the panel's genes that is missing")
    frame.draw(
        svg,
        x_ticks=share_ticks(0, right),
        y_ticks=share_ticks(low, percent=False),
        y_label="macro-F1, accuracy",
        x_label="genes of the panel missing",
    )
    for name, colour, style in (("accuracy", ORANGE, DASHED), ("macro_f1", BLUE, THIN)):
        places = [(frame.x(point.share_missing), frame.y(getattr(point, name))) for point in points]
        svg.path(places, colour, more=style)
        for (x, y), point in zip(places, points, strict=True):
            measure = name.replace("_f1", "-F1")
            tip = f"{point.share_missing:.0%} of the genes missing: {measure} {getattr(point, name):.3f}"
            _mark(svg, x, y, colour, tip, square=name == "accuracy")
    return svg.markup()


def missing_chart(points: Sequence[MissingPoint], *, treatment: str, min_mass: float) -> Markup:
    """Macro-F1 when genes of the panel were not measured, both ways of treating them, and where input is refused."""
    points = sorted(points, key=lambda point: point.mass_missing)
    low = floor_of([value for point in points for value in (point.at_baseline, point.at_zero)])
    right = max(0.5, points[-1].mass_missing, 1 - min_mass)
    frame = Frame(58, 12, WIDTH - 22, HEIGHT - 48, (0.0, right), (low, 1.0))
    svg = Svg(WIDTH, HEIGHT, "Macro-F1 against the share of evidence that is missing")
    edge = frame.x(1 - min_mass)
    svg.rect(edge, 12, frame.right - edge, frame.bottom - 12, ".refused", tip="refused")
    frame.draw(
        svg,
        x_ticks=share_ticks(0, right),
        y_ticks=share_ticks(low, percent=False),
        y_label="macro-F1",
        x_label="attribution mass of the genes missing",
    )
    if frame.right - edge > 50:
        svg.text((edge + frame.right) / 2, 28, "refused", anchor="middle", kind="tick")
    for name, colour in (("at_baseline", BLUE), ("at_zero", ORANGE)):
        places = [(frame.x(point.mass_missing), frame.y(getattr(point, name))) for point in points]
        svg.path(places, colour, more=THIN if (name == "at_zero") == (treatment == "zero") else DASHED)
        for (x, y), point in zip(places, points, strict=True):
            lost = f"{point.mass_missing:.0%} of the mass, {point.genes_missing:.0%} of the genes"
            tip = f"{lost}: {getattr(point, name):.3f}"
            _mark(svg, x, y, colour, tip, square=name == "at_zero")
    return svg.markup()


def left_out_chart(rows: Sequence[LeftOutType]) -> Markup:
    """AUROC of each type that was left out, a point for every fold, and of the confidence alone."""
    names = list(dict.fromkeys(row.cell_type for row in rows))
    shown = [clip(name, 22) for name in names]
    left = 20 + width_of(shown, 12)
    low = floor_of([min(row.auroc, row.auroc_of_confidence) for row in rows], span=0.3)
    bottom = 12 + 22 * len(names)
    svg = Svg(WIDTH + 40, bottom + 42, "How well the novelty score finds cells of types that were left out")
    frame = Frame(left, 8, WIDTH + 22, bottom, (low, 1.0), (0, 1))
    frame.draw(svg, x_ticks=share_ticks(low, percent=False), x_label="AUROC, unknown against known cells")
    for row in rows:
        y = 8 + 22 * (names.index(row.cell_type) + 0.5)
        tip = f"{row.cell_type} without {row.fold}: "
        x = frame.x(row.auroc_of_confidence)
        svg.ring(x, y, 7, ORANGE, tip=f"{tip}confidence {row.auroc_of_confidence:.3f}")
        detail = f"novelty {row.auroc:.3f}, {row.refused:.0%} of {row.n_unknown:,} unknown cells refused"
        svg.circle(frame.x(row.auroc), y, 4.5, BLUE, tip=tip + detail, more=' fill-opacity=".75"')
    for place, name in enumerate(shown):
        svg.text(left - 8, 8 + 22 * (place + 0.5) + 4, name, anchor="end")
    return svg.markup()


def _mark(svg: Svg, x: float, y: float, colour: str, tip: str, *, square: bool) -> None:
    if square:
        svg.ring(x, y, 7, colour, tip=tip)
    else:
        svg.circle(x, y, 4, colour, tip=tip)
