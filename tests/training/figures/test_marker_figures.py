"""Pictures of markers, with few and with thirty types, against plain NumPy on what they show."""

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from matplotlib.collections import PolyCollection
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure

from cellmark.schemas.manifest.marker_table import marker_table
from cellmark.training.figures import marker_figures as marker_figures_module
from cellmark.training.figures.figure_files import png
from cellmark.training.figures.figure_style import BLUE, ORANGE
from cellmark.training.figures.marker_figures import BLOCK, contribution_figure, heatmap_figure, marker_figures
from cellmark.training.figures.marker_violins import HEIGHT, violin_figure

N_GENES = 70


class Cells(NamedTuple):
    markers: pd.DataFrame
    x: sp.csr_matrix
    codes: np.ndarray
    cell_types: list[str]
    gene_symbols: list[str]

    @property
    def names(self) -> dict[str, list[str]]:
        return {"cell_types": self.cell_types, "gene_symbols": self.gene_symbols}


def draw(n_types: int, *, sizes: list[int] | None = None, long_names: bool = True) -> Cells:
    """Types with two genes of their own, which rank first; the first type has few cells, the second a single one."""
    generator = np.random.default_rng(0)
    sizes = sizes or [3, 1, *generator.integers(20, 90, n_types - 2)]
    codes = generator.permutation(np.repeat(np.arange(n_types), sizes))
    rates = np.full((n_types, N_GENES), 0.4)
    for number in range(n_types):
        rates[number, 2 * number : 2 * number + 2] = 6
    x = sp.csr_matrix(np.log1p(generator.poisson(rates[codes])).astype(np.float32))
    names = [
        f"cell type number {number} of a tissue with a long name" if long_names else f"T{number}"
        for number in range(n_types)
    ]
    symbols = [f"GENE{number}" for number in range(N_GENES)]
    tables = []
    for number, name in enumerate(names):
        order = np.argsort(-rates[number], kind="stable")
        mean = np.asarray(x[codes == number].mean(axis=0)).ravel()[order]
        tables.append(
            pd.DataFrame(
                {"cell_type": name, "rank": np.arange(1, N_GENES + 1), "gene_symbol": np.array(symbols)[order],
                 "mean_in": mean, "fraction_in": np.minimum(mean, 1), "mean_contribution": mean - 0.7}
            )
        )  # fmt: skip
    table = pd.concat(tables, ignore_index=True)
    return Cells(marker_table(**{str(name): column for name, column in table.items()}), x, codes, names, symbols)


@pytest.mark.parametrize("n_types", [2, 3, 30])
def test_all_figures_are_readable(n_types: int, check_readable: Callable[[Figure], None]) -> None:
    cells = draw(n_types)
    figures = marker_figures(cells.markers, cells.x, cells.codes, **cells.names)
    assert set(figures) == {"markers", "marker_heatmap", "marker_violins", "marker_contributions"}
    for figure in figures.values():
        check_readable(figure)
        width, height = figure.get_size_inches()
        assert max(width, height) < 20


def test_the_same_cells_and_seed_give_the_same_bytes() -> None:
    cells = draw(4)
    first, second = (marker_figures(cells.markers, cells.x, cells.codes, **cells.names, seed=3) for _ in range(2))
    assert {name: png(figure) for name, figure in first.items()} == {
        name: png(figure) for name, figure in second.items()
    }


def test_without_ranks_there_are_no_figures_and_without_contributions_none_of_these() -> None:
    cells = draw(3)
    no_ranks = cells.markers.assign(rank=pd.array([pd.NA] * len(cells.markers), dtype="Int64"))
    assert marker_figures(no_ranks, cells.x, cells.codes, **cells.names) == {}
    other = cells.markers.drop(columns="mean_contribution")
    assert "marker_contributions" not in marker_figures(other, cells.x, cells.codes, **cells.names)


def test_a_type_without_cells_and_one_without_ranks_are_no_obstacle(check_readable: Callable[[Figure], None]) -> None:
    cells = draw(5)
    kept = cells.codes != 2
    markers = cells.markers.copy()
    markers.loc[markers["cell_type"] == cells.cell_types[3], ["rank", "mean_contribution"]] = pd.NA
    figures = marker_figures(markers, cells.x[kept], cells.codes[kept], **cells.names)
    for figure in figures.values():
        check_readable(figure)
    columns = [label.get_text() for label in figures["marker_heatmap"].axes[0].get_xticklabels()]
    assert len(columns) == 4


def heat(figure: Figure) -> np.ndarray:
    return np.asarray(figure.axes[0].images[0].get_array())


def test_the_heatmap_shows_each_cell_of_small_types_scaled_by_gene() -> None:
    cells = draw(3, sizes=[4, 3, 5], long_names=False)
    figure = heatmap_figure(cells.markers, cells.x, cells.codes, **cells.names, top=2)
    image = heat(figure)
    assert image.shape == (6, 3 * BLOCK)
    values = cells.x[:, :6].toarray().T
    for code, size in enumerate((4, 3, 5)):
        block = image[:, code * BLOCK : (code + 1) * BLOCK]
        wide = np.column_stack([block[:, (2 * cell + 1) * BLOCK // (2 * size)] for cell in range(size)])
        largest = np.percentile(
            np.hstack([np.repeat(values[:, cells.codes == c], BLOCK // n, axis=1) for c, n in enumerate((4, 3, 5))]),
            99, axis=1, keepdims=True,
        )  # fmt: skip
        np.testing.assert_allclose(wide, np.minimum(values[:, cells.codes == code] / largest, 1), rtol=1e-6)
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["T0 (4)", "T1 (3)", "T2 (5)"]


def test_genes_and_cells_that_are_not_shown_are_never_dense(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[tuple[int, int]] = []
    plain = sp.csr_matrix.toarray

    def toarray(matrix: sp.csr_matrix) -> np.ndarray:
        sizes.append(matrix.shape)
        return np.asarray(plain(matrix))

    cells = draw(3, sizes=[900, 500, 5])
    monkeypatch.setattr(sp.csr_matrix, "toarray", toarray)
    marker_figures(cells.markers, cells.x, cells.codes, **cells.names)
    assert sizes == [(60 + 60 + 5, 15), (300 + 300 + 5, 6)]


def test_marker_groups_of_the_heatmap_are_named_without_overlap() -> None:
    cells = draw(30)
    figure = heatmap_figure(cells.markers, cells.x, cells.codes, **cells.names)
    figure.draw_without_rendering()
    (right,) = figure.axes[0].child_axes
    boxes = [label.get_window_extent() for label in right.get_yticklabels()]
    assert len(boxes) == 30
    assert all(box.x1 <= figure.bbox.x1 for box in boxes)
    tops = sorted(boxes, key=lambda box: box.y0)
    assert all(below.y1 <= above.y0 + 0.5 for below, above in pairwise(tops))


def test_scales_of_genes_hold_where_hardly_a_cell_expresses_them() -> None:
    cells = draw(3, sizes=[400, 400, 400])
    x = cells.x.tolil()
    x[:, 0] = 0
    assert np.isfinite(heat(heatmap_figure(cells.markers, x.tocsr(), cells.codes, **cells.names))).all()


def test_violins_lie_between_the_smallest_and_the_largest_value() -> None:
    cells = draw(4, sizes=[60, 60, 60, 60])
    axes = violin_figure(cells.markers, cells.x, cells.codes, **cells.names, top=1).axes[0]
    violins = [collection for collection in axes.collections if isinstance(collection, PolyCollection)]
    assert len(violins) == 16
    written = [text.get_text() for text in axes.texts if text.get_text() != "largest"]
    for row in range(4):
        largest = cells.x[:, 2 * row].max()
        assert written[row] == f"{largest:.1f}"
        for code in range(4):
            values = cells.x[cells.codes == code, 2 * row].toarray()
            outline = violins[4 * row + code].get_paths()[0].vertices
            up = row + HEIGHT / 2 - outline[:, 1]
            scale = HEIGHT / largest
            np.testing.assert_allclose([up.min(), up.max()], [values.min() * scale, values.max() * scale], atol=1e-6)
            assert np.abs(outline[:, 0] - code).max() <= 0.45 + 1e-9
            colour = violins[4 * row + code].get_facecolor()[0]
            assert tuple(colour) == to_rgba(ORANGE if code == row else BLUE)


def test_few_cells_are_points_and_equal_cells_a_line() -> None:
    cells = draw(3, sizes=[3, 40, 40])
    x = cells.x.tolil()
    x[cells.codes == 1, 0] = 0
    axes = violin_figure(cells.markers, x.tocsr(), cells.codes, **cells.names, top=1).axes[0]
    points = [line for line in axes.lines if line.get_marker() == "." and len(line.get_xdata())]
    assert [len(line.get_xdata()) for line in points] == [3, 3, 3]
    violins = [collection for collection in axes.collections if isinstance(collection, PolyCollection)]
    assert len(violins) == 5


def test_contributions_are_those_of_the_table_around_zero() -> None:
    cells = draw(3, long_names=False)
    figure = contribution_figure(cells.markers, top=2)
    image = figure.axes[0].images[0]
    for row, gene in enumerate(label.get_text() for label in figure.axes[0].get_yticklabels()):
        given = cells.markers[cells.markers["gene_symbol"] == gene].set_index("cell_type")["mean_contribution"]
        np.testing.assert_allclose(np.asarray(image.get_array())[row], given[cells.cell_types])
    low, high = image.get_clim()
    assert low == -high < 0


def test_a_sample_does_not_depend_on_global_state(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(marker_figures_module, "PER_TYPE", 5)
    cells = draw(3, sizes=[50, 50, 50])
    pictures = []
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002  (what is not to matter)
        pictures.append(heat(heatmap_figure(cells.markers, cells.x, cells.codes, **cells.names, seed=7)))
    np.testing.assert_array_equal(*pictures)
    other = heat(heatmap_figure(cells.markers, cells.x, cells.codes, **cells.names, seed=8))
    assert not np.array_equal(pictures[0], other)
