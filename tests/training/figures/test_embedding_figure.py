from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.text import Text

from cellmark.training.figures.embedding_figure import RARE, embedding_figure, place_labels
from cellmark.training.figures.figure_files import png
from cellmark.training.figures.figure_style import type_styles


def draw(n_types: int, *, rare: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Clusters on a ring, the first one of few cells; of each hundred cells one is called as the next type."""
    generator = np.random.default_rng(0)
    codes = np.repeat(np.arange(n_types), [rare, *[50] * (n_types - 1)])
    angle = 2 * np.pi * codes / n_types
    embedding = 40 * np.stack([np.cos(angle), np.sin(angle)], axis=1) + generator.normal(0, 1, (len(codes), 2))
    calls = np.where(np.arange(len(codes)) % 100 == 99, (codes + 1) % n_types, codes)
    return embedding.astype(np.float32), codes, calls


def names_of(axes: Axes) -> list[Text]:
    """The texts themselves, without the halos below them."""
    return [text for text in axes.texts if not text.get_path_effects()]


def texts(figure: Figure) -> list[list[str]]:
    return [[text.get_text() for text in names_of(axes)] for axes in figure.axes]


def boxes_overlap(figure: Figure) -> bool:
    figure.draw_without_rendering()
    for axes in figure.axes:
        boxes = [text.get_window_extent() for text in names_of(axes)]
        frame = axes.get_window_extent()
        assert all(frame.x0 - 1 <= box.x0 and box.x1 <= frame.x1 + 1 for box in boxes)
        if any(first.overlaps(second) for number, first in enumerate(boxes) for second in boxes[:number]):
            return True
    return False


def test_few_types_are_named_in_both_panels() -> None:
    names = ["B cell", "T cell", "NK cell", "platelet"]
    figure = embedding_figure(*draw(4), cell_types=names, method="pca", part="test")
    assert texts(figure) == [names, names]
    assert not boxes_overlap(figure)
    left, right = figure.axes
    assert left.get_title() == "By label, 153 test cells"
    assert right.get_title() == "By call, 1 of them wrong (×)"
    assert left.get_xlabel() == "PCA 1 of the embedding"
    (legend,) = figure.legends
    assert legend.get_texts()[0].get_text() == "1  B cell (3)"


@pytest.mark.parametrize("n_types", [30, 50])
def test_many_types_with_long_names_are_numbered(n_types: int) -> None:
    names = [f"cell type number {number} of a tissue with a long name" for number in range(n_types)]
    figure = embedding_figure(*draw(n_types), cell_types=names, method="pca")
    assert texts(figure)[0] == [str(number + 1) for number in range(n_types)]
    assert not boxes_overlap(figure)
    (legend,) = figure.legends
    extents = [text.get_window_extent() for text in legend.get_texts()]
    assert len(extents) == n_types
    assert all(extent.x0 >= 0 and extent.x1 <= figure.bbox.x1 and extent.y0 >= 0 for extent in extents)
    legend_left = legend.get_window_extent().x0
    assert legend_left >= figure.axes[1].get_window_extent().x1


def test_rare_types_are_on_top_and_framed() -> None:
    embedding, codes, calls = draw(5)
    left = embedding_figure(embedding, codes, calls, cell_types=list("abcde"), method="pca").axes[0]
    shown = [points for points in left.collections if len(points.get_offsets())]
    sizes = [len(points.get_offsets()) for points in shown]
    orders = [points.get_zorder() for points in shown]
    assert sizes == [50, 50, 50, 50, 3]
    assert all(below < above for below, above in pairwise(orders))
    assert 3 < RARE <= 50
    assert tuple(shown[-1].get_edgecolor()[0]) == to_rgba("black")
    assert tuple(shown[-1].get_facecolor()[0]) == to_rgba(type_styles(5)[0].colour)
    assert shown[-1].get_sizes()[0] > shown[0].get_sizes()[0]


def test_wrong_calls_are_crossed_where_they_lie() -> None:
    embedding, codes, calls = draw(6)
    right = embedding_figure(embedding, codes, calls, cell_types=list("abcdef"), method="pca").axes[1]
    crosses = max(right.collections, key=lambda points: points.get_zorder())
    np.testing.assert_allclose(crosses.get_offsets(), embedding[codes != calls], rtol=1e-6)


def test_names_stand_near_their_cells_and_not_on_rare_ones() -> None:
    embedding, codes, calls = draw(5)
    figure = embedding_figure(embedding, codes, calls, cell_types=list("abcde"), method="pca")
    figure.draw_without_rendering()
    left = figure.axes[0]
    for code, text in enumerate(names_of(left)):
        pixels = left.transData.transform(embedding[codes == code])
        extent = text.get_window_extent()
        assert np.linalg.norm(pixels.mean(axis=0) - [extent.x0, extent.y0]) < 60
    few = left.transData.transform(embedding[codes == 0])
    box = names_of(left)[0].get_window_extent()
    assert not any(box.contains(*place) for place in few)


def test_a_type_that_is_never_called_has_no_name_on_the_right() -> None:
    embedding, codes, _ = draw(4)
    figure = embedding_figure(embedding, codes, np.where(codes == 0, 1, codes), cell_types=list("abcd"), method="pca")
    assert texts(figure) == [["a", "b", "c", "d"], ["b", "c", "d"]]


def test_more_cells_than_asked_for_are_drawn_evenly() -> None:
    figure = embedding_figure(*draw(4), cell_types=list("abcd"), method="pca", at_most=43)
    sizes = sorted(len(points.get_offsets()) for points in figure.axes[0].collections if len(points.get_offsets()))
    assert sizes == [3, 13, 13, 14]
    assert figure.axes[0].get_title() == "By label, 43 cells"


def test_umap_gives_the_same_bytes_again() -> None:
    first, second = (png(embedding_figure(*draw(4), cell_types=list("abcd"), seed=1)) for _ in range(2))
    assert first == second


def test_calls_that_are_all_wrong_and_a_single_cell_are_pictures_too() -> None:
    embedding, codes, _ = draw(3)
    png(embedding_figure(embedding, codes, (codes + 1) % 3, cell_types=list("abc"), method="pca"))
    png(embedding_figure(embedding[:1], codes[:1], codes[:1], cell_types=list("abc")))


def overlaps(centres: np.ndarray, sizes: np.ndarray) -> bool:
    apart = np.abs(centres[:, None] - centres[None])
    together = (apart < (sizes[:, None] + sizes[None]) / 2).all(axis=2)
    return bool((together & ~np.eye(len(sizes), dtype=bool)).any())


def test_labels_with_room_stay_where_they_are() -> None:
    anchors = np.array([[50.0, 50.0], [150.0, 50.0], [50.0, 90.0]])
    centres, fits = place_labels(anchors, np.full((3, 2), 20.0), width=300, height=200)
    assert fits
    np.testing.assert_array_equal(centres, anchors)


@given(st.integers(1, 30), st.integers(0, 20))
def test_what_is_said_to_fit_does_not_overlap_and_is_in_the_frame(n: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    sizes = np.column_stack([generator.uniform(8, 60, n), np.full(n, 12.0)])
    anchors = generator.uniform(0, 400, (n, 2))
    centres, fits = place_labels(anchors, sizes, width=400, height=400)
    assert (centres - sizes / 2 >= 0).all()
    assert (centres + sizes / 2 <= 400).all()
    assert not (fits and overlaps(centres, sizes))


@pytest.mark.parametrize("n", [2, 12])
def test_labels_on_one_spot_part(n: int) -> None:
    sizes = np.full((n, 2), [40.0, 12.0])
    centres, fits = place_labels(np.full((n, 2), 300.0), sizes, width=600, height=600)
    assert fits
    assert not overlaps(centres, sizes)
    assert np.abs(centres - 300).max() < 15 * n


def test_too_many_labels_are_told() -> None:
    assert not place_labels(np.full((9, 2), 10.0), np.full((9, 2), 30.0), width=50, height=50)[1]


def test_no_labels_fit() -> None:
    assert place_labels(np.empty((0, 2)), np.empty((0, 2)), width=50, height=50)[1]
