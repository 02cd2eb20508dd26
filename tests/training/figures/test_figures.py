import io
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from matplotlib.image import imread

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import OutputError
from cellmark.training.figures.figure_files import SUFFIXES, file_of, png, save_figures
from cellmark.training.figures.figure_style import new_figure
from cellmark.training.figures.figures import (
    confusion_figure,
    learning_figure,
    markers_figure,
    tuning_figure,
)
from cellmark.training.network.fit import Epoch
from cellmark.training.network.fit_settings import unjudged

CheckReadable = Callable[[Figure], None]

THIRTY = [f"cell type number {number} of a tissue with a long name" for number in range(30)]


def drawn(n_types: int) -> np.ndarray:
    generator = np.random.default_rng(0)
    return (np.eye(n_types) * 200 + generator.poisson(0.5, (n_types, n_types))).astype(int)


@pytest.mark.parametrize("n_types", [2, 3, 12, 30])
def test_confusion_is_readable_with_few_and_with_thirty_types(n_types: int, check_readable: CheckReadable) -> None:
    check_readable(confusion_figure(drawn(n_types), THIRTY[:n_types]))


def test_confusion_writes_every_count_that_is_not_zero() -> None:
    counts = np.array([[5, 1, 0], [0, 7, 0], [2, 0, 9]])
    texts = {text.get_text() for text in confusion_figure(counts, ["a", "b", "c"]).axes[0].texts}
    assert texts == {"5", "1", "7", "2", "9"}


@pytest.mark.parametrize("n_epochs", [1, 60])
def test_learning_curves_mark_the_epoch_that_was_kept(n_epochs: int) -> None:
    epochs = [Epoch(number, 1 / number, 1.2 / number, 0.9, 0.8) for number in range(1, n_epochs + 1)]
    figure = learning_figure(epochs, best_epoch=n_epochs)
    for axes in figure.axes:
        assert axes.get_title()
        assert axes.get_xlabel() == "epoch"
        assert axes.get_ylabel()
        assert f"kept: epoch {n_epochs}" in [text.get_text() for text in axes.get_legend().get_texts()]


def test_where_no_cells_were_kept_aside_only_the_loss_of_training_cells_is_drawn() -> None:
    figure = learning_figure([unjudged(number, 1 / number) for number in range(1, 21)], best_epoch=20)
    (axes,) = figure.axes
    assert {text.get_text() for text in axes.get_legend().get_texts()} == {"training cells", "kept: epoch 20"}
    assert axes.get_title() == "Loss"


def test_markers_of_a_trained_model_are_readable_and_are_the_best_ranks(
    tiny_bundle: Bundle, check_readable: CheckReadable
) -> None:
    figure = markers_figure(tiny_bundle.markers, top=4)
    check_readable(figure)
    shown = {label.get_text() for label in figure.axes[0].get_yticklabels()}
    assert shown == set(tiny_bundle.markers.query("rank <= 4")["gene_symbol"])


def test_markers_of_thirty_types_are_readable(check_readable: CheckReadable) -> None:
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


def test_learning_curves_of_members_are_thin_lines_beside_their_mean() -> None:
    members = [[Epoch(number, loss / number, 1.0, 0.9, 0.8) for number in range(1, 4)] for loss in (1.0, 3.0)]
    mean = [Epoch(number, 2 / number, 1.0, 0.9, 0.8) for number in range(1, 4)]
    loss = learning_figure(mean, best_epoch=2, members=members).axes[0]
    curves = [line for line in loss.lines if len(line.get_xdata()) == 3]
    of_training = {tuple(line.get_ydata()): line.get_linewidth() for line in curves}
    assert of_training[1.0, 0.5, 1 / 3] == of_training[3.0, 1.5, 1.0] < of_training[2.0, 1.0, 2 / 3]
    texts = [text.get_text() for text in loss.get_legend().get_texts()]
    assert "each of 2 networks" in texts
    assert "kept, median: epoch 2" in texts


def test_a_gene_of_two_types_stands_below_both() -> None:
    table = pd.DataFrame(
        {"cell_type": ["b", "b", "a", "a"], "gene_symbol": ["G1", "G2", "G1", "G3"], "rank": [1, 2, 1, 2],
         "mean_in": [1.0, 2.0, 4.0, 1.0], "fraction_in": [0.5, 0.5, 0.9, 0.1]}
    )  # fmt: skip
    axes = markers_figure(table, top=1).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["G1", "G1"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["b", "a"]
    dots = next(collection for collection in axes.collections if len(collection.get_offsets()) == 4)
    assert dots.get_array().tolist() == [0.25, 1.0, 0.25, 1.0]  # of the gene's largest mean, 4


def test_a_figure_becomes_three_files_of_its_name(tmp_path: Path) -> None:
    figure = new_figure(2, 1)
    save_figures({"one": figure}, tmp_path / "new" / "figures")
    written = {path.name: path.read_bytes() for path in (tmp_path / "new" / "figures").iterdir()}
    assert written == {f"one{suffix}": file_of(figure, suffix) for suffix in (".png", ".svg", ".pdf")}


def test_for_papers_text_is_text_and_the_same_figure_gives_the_same_bytes() -> None:
    first, second = (
        {suffix: file_of(confusion_figure(drawn(3), ["alpha", "beta", "no $ sign"]), suffix) for suffix in SUFFIXES}
        for _ in range(2)
    )
    assert first == second
    root = ElementTree.fromstring(first[".svg"])
    words = {"".join(text.itertext()).strip() for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"alpha", "beta", "no $ sign", "called cell type", "label"} <= words
    assert b"/Type3" not in first[".pdf"]
    assert b"/FontFile2" in first[".pdf"]  # TrueType, whole letters
    assert b"CreationDate" not in first[".pdf"]


def test_nothing_is_left_when_a_figure_cannot_be_drawn(tmp_path: Path) -> None:
    broken = new_figure(2, 1)
    broken.text(0.5, 0.5, r"$\frac{$")
    with pytest.raises(ValueError, match="frac"):
        save_figures({"one": new_figure(2, 1), "two": broken}, tmp_path / "figures")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_exists_is_kept(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    with pytest.raises(OutputError) as refused:
        save_figures({"one": new_figure(2, 1)}, tmp_path)
    assert refused.value.findings[0].code == "OUTPUT_EXISTS"
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def trials(states: list[str], values: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"number": range(len(states)), "state": states, "value": values})


def test_the_line_is_the_best_complete_value_so_far() -> None:
    frame = trials(["complete", "pruned", "complete", "failed", "complete"], [0.5, 0.9, 0.4, np.nan, 0.7])
    figure = tuning_figure(frame, metric="accuracy", best_number=4)
    (axes,) = figure.axes
    lines = {line.get_label(): line for line in axes.lines}
    assert lines["best so far"].get_ydata().tolist() == [0.5, 0.5, 0.7, 0.7]
    assert lines["pruned (1)"].get_xdata().tolist() == [1]
    assert lines["complete (3)"].get_xdata().tolist() == [0, 2, 4]
    assert lines["chosen: trial 4 (0.700)"].get_ydata() == [0.7]
    assert axes.get_ylabel() == "accuracy on validation cells"


def test_a_search_without_a_complete_trial_is_a_picture_too() -> None:
    figure = tuning_figure(trials(["failed"], [np.nan]), metric="macro_f1", best_number=None)
    figure.draw_without_rendering()
    assert figure.axes[0].get_ylabel() == "macro-F1 on validation cells"
