from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure

from cellmark.training.figures.compare_figure import compare_figure
from cellmark.training.figures.figure_files import png
from cellmark.training.markers.compare_conditions import change_table

VERDICTS = ("gained", "lost", "stronger", "weaker", "undecided", "kept")


def drawn(n_types: int, conditions: tuple[str, ...] = ("disease",), *, intervals: bool = True) -> pd.DataFrame:
    generator = np.random.default_rng(0)
    rows = []
    for condition in conditions:
        for number in range(n_types):
            for gene, verdict in enumerate(VERDICTS):
                change = float(generator.normal(0, 2))
                interval = {"change_low": change - 1, "change_high": change + 1} if intervals else {}
                rows.append(
                    {"cell_type": f"cell type {number} of a tissue with a long name", "condition": condition,
                     "reference": "$normal$", "gene_symbol": f"GENE{gene}", "verdict": verdict, "change": change,
                     "log2_fold_change_reference": 1.0, "log2_fold_change_condition": 1 + change, **interval}
                )  # fmt: skip
        rows.append({"cell_type": "rare", "condition": condition, "reference": "$normal$", "verdict": "not compared"})
    return change_table(pd.DataFrame(rows))


def check_readable(figure: Figure) -> None:
    figure.draw_without_rendering()
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        assert axes.get_title()
        assert axes.get_xlabel()
        boxes = [label.get_window_extent() for label in axes.get_yticklabels() if label.get_text()]
        assert all(figure.bbox.x0 <= box.x0 and box.y1 <= figure.bbox.y1 + 1 for box in boxes)
        sides = sorted((box.y0, box.y1) for box in boxes)
        assert all(below[1] <= above[0] + 0.5 for below, above in pairwise(sides))


@pytest.mark.parametrize("n_types", [2, 12, 30])
def test_it_is_readable_with_few_and_with_thirty_types(n_types: int) -> None:
    check_readable(compare_figure(drawn(n_types)))


def test_every_condition_has_a_panel_with_what_it_could_not_compare() -> None:
    figure = compare_figure(drawn(3, ("one", "two", "three", "four", "five")), top=2)
    check_readable(figure)
    titles = [axes.get_title() for axes in figure.axes if axes.get_visible()]
    assert [title.split()[0] for title in titles] == ["one", "two", "three", "four", "five"]
    assert all("not compared: rare" in title for title in titles)
    labels = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert len(labels) == 3 * (1 + 2)
    assert labels[1:3] == ["GENE0", "GENE1"]


def test_a_line_spans_the_interval_and_only_decided_dots_are_filled() -> None:
    table = drawn(1)
    figure = compare_figure(table, top=6)
    lines = [line.get_xdata() for line in figure.axes[0].lines if len(line.get_xdata()) == 2]
    for row in table[table["gene_symbol"].notna()].to_dict("records"):
        assert any(np.allclose(line, [row["change_low"], row["change_high"]]) for line in lines)
    dots = [line for line in figure.axes[0].lines if np.size(line.get_xdata()) == 1]
    assert len(dots) == len(VERDICTS)
    hollow = [dot for dot in dots if dot.get_markerfacecolor() == "white"]
    assert len(hollow) == 1
    assert hollow[0].get_xdata()[0] == table.loc[table["verdict"] == "undecided", "change"].item()


def test_without_donors_the_legend_says_that_there_are_no_intervals() -> None:
    figure = compare_figure(drawn(2, intervals=False))
    assert "they take donors" in figure.legends[0].get_title().get_text()


def test_nothing_to_draw_is_no_fault_and_the_same_table_gives_the_same_bytes() -> None:
    table = drawn(2)
    only_missing = table[table["verdict"] == "not compared"]
    check_readable(compare_figure(only_missing))
    assert png(compare_figure(table)) == png(compare_figure(table))
