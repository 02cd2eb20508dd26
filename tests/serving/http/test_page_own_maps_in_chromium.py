"""The page with a file that brings a map and clusters of its own: they are drawn, beside what the model makes of it."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from fixtures.chromium import browser
from fixtures.listening import listening
from fixtures.page_checks import CONTRAST, SMALL, UNNAMED
from fixtures.service_page import called, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
__all__ = ["browser"]


@pytest.fixture(scope="module")
def url(tiny_bundle: Bundle) -> Iterator[str]:
    with listening(make_app(Annotator.load(tiny_bundle.folder))) as url:
        yield url


@pytest.fixture
def analysed(new_cells: ad.AnnData) -> ad.AnnData:
    """Cells on a circle, in the order of the file, in three clusters of neighbours."""
    cells = new_cells.copy()
    angle = np.linspace(0, 2 * np.pi, cells.n_obs, endpoint=False)
    cells.obsm["X_umap"] = np.column_stack([np.cos(angle), np.sin(angle)])
    cells.obs = pd.DataFrame({"leiden": pd.Categorical(np.arange(cells.n_obs) // 40)}, index=cells.obs_names)
    return cells


def place_of(page: "Page", x: float, y: float) -> dict[str, float]:
    """Where a point of the circle is on the canvas: it fills it but for a margin of 18 pixels."""
    box = page.locator("canvas").bounding_box()
    assert box is not None
    return {
        "x": 18 + (x + 1) / 2 * (box["width"] - 36),
        "y": 18 + (1 - y) / 2 * (box["height"] - 36),
    }


@pytest.mark.parametrize("width", [390, 1280])
def test_the_files_own_map_is_drawn_first_and_its_clusters_stand_beside_the_calls(
    browser: "Browser", url: str, analysed: ad.AnnData, tmp_path: Path, width: int
) -> None:
    page, heard = opened(browser, url, width=width)
    called(page, analysed, tmp_path)
    page.locator("canvas[data-layout=own0]").wait_for()
    assert page.get_by_label("umap of the file").is_checked()
    assert "“X_umap” as the file has it (obsm)" in page.locator("#map-caption").inner_text()
    assert page.get_by_role("button", name="leiden").is_visible()
    row = page.locator(".rows .row").first.locator("[role=gridcell]").all_inner_texts()
    assert row[2] == "0"
    # A click on a place of the circle chooses the cell that lies there.
    page.locator("canvas").scroll_into_view_if_needed()
    for cell in (0, 30, 75):
        at = 2 * np.pi * cell / analysed.n_obs
        page.locator("canvas").click(position=place_of(page, np.cos(at), np.sin(at)))
        page.locator("#why code", has_text=analysed.obs_names[cell]).wait_for()
    page.locator("#map select").select_option(label="leiden")
    assert page.locator("#map .legend").inner_text() == "Colours are those of “leiden” in the file, not of the calls."
    if width > 1000:
        page.locator("canvas").hover(position=place_of(page, -1, 0))
        assert page.locator(".tip").inner_text().endswith("leiden 1")
    assert page.evaluate(CONTRAST)["low"] == []
    assert page.evaluate(UNNAMED) == page.evaluate(SMALL) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The model's own map is computed when it is chosen.
    page.get_by_label("PCA").check()
    page.locator("canvas[data-layout=pca]").wait_for()
    page.get_by_label("UMAP", exact=True).check()
    page.locator("canvas[data-layout=umap]").wait_for(timeout=60_000)
    page.get_by_role("button", name="leiden").click()
    first = page.locator(".rows .row").first.locator("[role=gridcell]").all_inner_texts()
    page.get_by_role("button", name="leiden").click()
    last = page.locator(".rows .row").first.locator("[role=gridcell]").all_inner_texts()
    assert (first[2], last[2]) == ("0", "2")
    assert heard == []


def test_a_file_without_any_shows_what_the_model_makes_of_it(
    browser: "Browser", url: str, analysed: ad.AnnData, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    page, heard = opened(browser, url)
    called(page, analysed, tmp_path)
    plain = ad.AnnData(new_cells.X, obs=pd.DataFrame(index=new_cells.obs_names), var=new_cells.var)
    called(page, plain, tmp_path)
    page.locator("canvas[data-layout=umap]").wait_for(timeout=60_000)
    assert page.get_by_label("umap of the file").count() == 0
    assert page.locator("#map select option").all_inner_texts() == [
        "call", "confidence", "novelty", "a gene",
    ]  # fmt: skip
    assert page.get_by_role("button", name="leiden").count() == 0
    assert heard == []
