import io

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from cellmark.schemas.bundle import Bundle
from cellmark.training.figures import confusion_figure, learning_figure, markers_figure, per_type_figure, png
from cellmark.training.fit import Epoch

THIRTY = [f"cell type number {number} of a tissue with a long name" for number in range(30)]


def drawn(n_types: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (np.eye(n_types) * 200 + generator.poisson(0.5, (n_types, n_types))).astype(int)


def check_readable(figure: Figure) -> None:
    """Axes have titles and labels; labels of ticks lie within the picture and apart from each other."""
    figure.draw_without_rendering()
    frame = figure.bbox
    for axes in figure.axes:
        if not axes.get_title():
            continue  # the bar of colours
        assert axes.get_xlabel()
        for labels, side in ((axes.get_xticklabels(), 0), (axes.get_yticklabels(), 1)):
            boxes = [label.get_window_extent() for label in labels if label.get_text()]
            assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)
            assert all(frame.y0 <= box.y0 and box.y1 <= frame.y1 + 1 for box in boxes)
            starts, ends = [sorted(getattr(box, name)[side] for box in boxes) for name in ("min", "max")]
            assert all(end <= start + 0.5 for end, start in zip(ends, starts[1:], strict=False))


@pytest.mark.parametrize("n_types", [2, 3, 12, 30])
def test_confusion_is_readable_with_few_and_with_thirty_types(n_types: int) -> None:
    check_readable(confusion_figure(drawn(n_types), THIRTY[:n_types]))


def test_confusion_writes_every_count_that_is_not_zero() -> None:
    counts = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 9]])
    texts = {text.get_text() for text in confusion_figure(counts, ["a", "b", "c"]).axes[0].texts}
    assert texts == {"5", "1", "7", "2", "9"}


@pytest.mark.parametrize("n_types", [2, 30])
def test_measures_per_type_are_readable(n_types: int) -> None:
    rows = {name: {"f1": number / 30, "support": 10 * number} for number, name in enumerate(THIRTY[:n_types])}
    figure = per_type_figure(rows)
    check_readable(figure)
    assert [bar.get_width() for bar in figure.axes[0].patches] == sorted(
        (row["f1"] for row in rows.values()), reverse=True
    )


@pytest.mark.parametrize("n_epochs", [1, 60])
def test_learning_curves_mark_the_epoch_that_was_kept(n_epochs: int) -> None:
    epochs = [Epoch(number, 1 / number, 1.2 / number, 0.9, 0.8) for number in range(1, n_epochs + 1)]
    figure = learning_figure(epochs, best_epoch=n_epochs)
    for axes in figure.axes:
        assert axes.get_title()
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()
        assert f"kept: epoch {n_epochs}" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_markers_of_a_trained_model_are_readable_and_are_the_best_ranks(tiny_bundle: Bundle) -> None:
    figure = markers_figure(tiny_bundle.markers, top=4)
    check_readable(figure)
    shown = {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert shown == set(tiny_bundle.markers.query("rank <= 4")["gene_symbol"])


def test_markers_of_thirty_types_are_readable() -> None:
    generator = np.random.default_rng(0)
    table = pd.DataFrame(
        [
            {"cell_type": name, "gene_symbol": f"GENE{gene}", "rank": (gene - 2 * number) % 60 + 1,
             "mean_in": generator.random(), "fraction_in": generator.random()}
            for number, name in enumerate(THIRTY) for gene in range(60)
        ]
    )  # fmt: skip
    figure = markers_figure(table)
    check_readable(figure)
    assert len(figure.axes[0].get_yticklabels()) == 60


def test_the_same_numbers_give_the_same_picture() -> None:
    first, second = (png(confusion_figure(drawn(3), ["a", "b", "c"])) for _ in range(2))
    assert first == second
    assert imread(io.BytesIO(first)).std() > 0.05


def test_a_name_with_a_dollar_sign_is_no_formula() -> None:
    png(confusion_figure(drawn(2), [r"$\frac{", "b"]))


def test_no_figure_stays_behind_in_pyplot() -> None:
    import matplotlib.pyplot as plt

    before = plt.get_fignums()
    png(confusion_figure(drawn(3), ["a", "b", "c"]))
    assert plt.get_fignums() == before
