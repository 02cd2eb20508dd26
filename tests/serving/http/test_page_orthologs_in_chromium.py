"""The page with cells of another organism than the model's: refused, and asked again by orthologs."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import anndata as ad
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from fixtures.chromium import browser
from fixtures.listening import listening
from fixtures.other_organism import human_model, named_for
from fixtures.service_page import drop, opened

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.chromium
__all__ = ["browser"]


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle, new_cells: ad.AnnData) -> Annotator:
    return human_model(tiny_bundle, new_cells.var_names)


@pytest.fixture(scope="module")
def url(annotator: Annotator) -> Iterator[str]:
    with listening(make_app(annotator)) as url:
        yield url


@pytest.mark.parametrize("width", [390, 1280])
def test_a_button_asks_again_by_orthologs_and_what_comes_back_says_so(
    browser: "Browser", url: str, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path, width: int
) -> None:
    page, heard = opened(browser, url, width=width)
    mouse = named_for(new_cells, "mouse")
    drop(page, mouse, tmp_path)
    page.get_by_role("heading", name="new.h5ad was refused").wait_for()
    said = page.locator("#checklist").inner_text()
    assert "The genes are of another organism than the model's." in said
    assert "--" not in said, "a button needs no words of a terminal"
    assert "orthologs=True" not in said
    page.get_by_role("button", name="Use orthologs").click()
    page.locator(".rows .row").first.wait_for()
    assert page.locator("[name=orthologs]").is_checked()
    assert "their genes were named by orthologs, and calls are less sure" in page.locator("#checklist").inner_text()
    expected = annotator.annotate(mouse, orthologs=True, as_sample=True)
    first = page.locator(".rows .row").first.locator("[role=gridcell]").all_inner_texts()
    assert first[1] == expected["cellmark_cell_type"].iloc[0]
    page.locator(".rows .row").first.click()
    page.locator(".evidence li").first.wait_for()
    genes = page.locator(".evidence .gene").all_inner_texts()
    assert set(genes) <= set(annotator.bundle.panel.symbols)
    with page.expect_download() as waiting:
        page.get_by_role("button", name="Table of calls (CSV)").click()
    waiting.value.save_as(tmp_path / "calls.csv")
    assert set(pd.read_csv(tmp_path / "calls.csv")["cellmark_cross_species"]) == {"mouse cells, human model"}
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    # The next file is asked as it is.
    drop(page, named_for(new_cells, "human"), tmp_path, "human.h5ad")
    page.get_by_role("heading", name="human.h5ad was read").wait_for()
    assert not page.locator("[name=orthologs]").is_checked()
    assert heard == []
