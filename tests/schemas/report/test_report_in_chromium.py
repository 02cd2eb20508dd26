"""The report in a real browser without a network: it opens without complaint, chooses types, fits a phone and paper."""

import re
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.drift.compare_cells import compare_cells
from cellmark.schemas.drift.drift_report import PanelFacts
from cellmark.schemas.drift.reference_plane import plane_of_cells
from cellmark.schemas.drift.spreads import cells_in_plane
from cellmark.schemas.reference_profile import BEST, UNASSIGNED_CELL
from cellmark.schemas.report.render import render_drift, render_report
from fixtures import full_report as made
from fixtures.chromium import browser, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

pytestmark = pytest.mark.chromium
__all__ = ["browser"]

SECTIONS = ("summary", "use", "accuracy", "confidence", "unknown", "partial", "types", "map", "data", "reference",
            "run", "origin")  # fmt: skip


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Reports of two and of thirty types, by their number."""
    folder = tmp_path_factory.mktemp("report")
    found = {}
    for n_types in (2, 30):
        found[n_types] = folder / f"{n_types}.html"
        found[n_types].write_text(render_report(made.full_facts(n_types)), encoding="utf-8")
    return found


def test_it_opens_offline_without_a_word_and_shows_every_section(browser: "Browser", files: dict[int, Path]) -> None:
    page, heard = open_page(browser, files[30])
    for section in SECTIONS:
        assert page.locator(f"#{section} h2").first.is_visible()
    page.wait_for_timeout(200)
    assert heard == []


def test_a_click_on_a_type_shows_its_markers_and_hides_the_others(browser: "Browser", files: dict[int, Path]) -> None:
    page, heard = open_page(browser, files[30])
    page.locator(".picker a").nth(4).click()
    assert page.locator(".panel:visible").count() == 1
    panel = page.locator("#type-5")
    assert panel.is_visible()
    own = made.full_facts().markers
    own = own[(own["cell_type"] == "type 5 of cells") & (own["direction"] == "positive")].sort_values("rank")
    assert panel.locator("tbody th").all_inner_texts() == list(own["gene_symbol"].head(15))
    page.locator("#types table.rows a").nth(7).click()
    assert page.locator("#type-8").is_visible()
    assert not panel.is_visible()
    page.locator("#accuracy svg a").nth(2).click()
    assert page.locator("#type-2").is_visible() or page.locator("#type-3").is_visible()
    assert heard == []


def test_types_are_chosen_by_keyboard_and_by_address(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[30])
    page.locator(".picker a").first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator("#type-3").is_visible()
    page.goto(files[30].as_uri() + "#type-12")
    assert page.locator("#type-12").is_visible()


def test_a_type_is_highlighted_on_the_map_and_released_again(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[2])
    button = page.locator(".legend button").nth(1)
    faded = "getComputedStyle(document.querySelector('.maps .dots.t1')).opacity"
    assert page.evaluate(faded) == "1"
    button.click()
    assert button.get_attribute("aria-pressed") == "true"
    assert float(page.evaluate(faded)) < 0.2
    button.click()
    assert page.evaluate(faded) == "1"


@pytest.mark.parametrize("n_types", [2, 30])
@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_no_width_needs_to_be_scrolled_sideways(
    browser: "Browser", files: dict[int, Path], n_types: int, width: int
) -> None:
    page, _ = open_page(browser, files[n_types], width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_text_is_dark_on_light_and_pictures_have_names(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[2])
    unnamed = "[...document.querySelectorAll('svg[role=img]')].filter(s => !s.getAttribute('aria-label')).length"
    assert page.evaluate(unnamed) == 0
    assert page.locator("main, header, nav, footer").count() >= 4
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(27, 39, 51)"


def test_names_of_pictures_stay_inside_them(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[30])
    cut = page.evaluate(
        """() => [...document.querySelectorAll('svg[role=img] text')].filter(t => {
            const box = t.getBoundingClientRect(), frame = t.ownerSVGElement.getBoundingClientRect();
            return box.width && (box.left < frame.left - 2 || box.right > frame.right + 2 || box.top < frame.top - 2);
        }).map(t => t.textContent)"""
    )
    assert cut == []


def test_without_scripts_all_types_are_there(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[30], java_script_enabled=False)
    assert page.locator(".panel:visible").count() == 30


def test_paper_has_every_type(browser: "Browser", files: dict[int, Path]) -> None:
    page, _ = open_page(browser, files[30])
    page.emulate_media(media="print")
    assert page.locator(".panel:visible").count() == 30
    assert page.locator("nav").is_hidden()
    pdf = page.pdf(format="A4", print_background=True)
    assert len(re.findall(rb"/Type\s*/Page\b", inflated(pdf))) >= 8


def inflated(pdf: bytes) -> bytes:
    """The file with its compressed streams opened."""
    parts = [pdf]
    for stream in re.findall(rb"stream\r?\n(.*?)endstream", pdf, flags=re.DOTALL):
        try:
            parts.append(zlib.decompress(stream))
        except zlib.error:
            continue
    return b"\n".join(parts)


@pytest.fixture(scope="module")
def drift_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A drift report on the cells of the drawn facts at half their depth, with hostile names and donors."""
    profile = made.full_facts().reference
    generator = np.random.default_rng(1)
    n_cells, names = 900, np.array(list(profile.cell_types), dtype=object)
    cells = pd.DataFrame(
        {
            BEST: names[generator.integers(0, len(names), n_cells)],
            UNASSIGNED_CELL: generator.random(n_cells) < 0.2,
            "confidence": generator.uniform(0.3, 1, n_cells),
            "novelty": generator.normal(0.5, 1, n_cells),
            "library_size": generator.lognormal(8, 0.5, n_cells) / 2,
        }
    )
    genes = PanelFacts([made.HOSTILE, "CD3E"], np.array([0.1, 0.9]), np.array([0.6, 0.4]))
    embedding = generator.normal(size=(600, 5)) + 8 * np.eye(3, 5)[np.arange(600) % 3]
    held_out = np.arange(600) % 3
    plane = plane_of_cells(embedding, held_out, held_out, [made.HOSTILE, "T cell", "W" * 60])
    assert plane is not None
    lying = cells_in_plane(plane, generator.normal(0, 4, (n_cells, 2)), cells[UNASSIGNED_CELL].to_numpy(dtype=bool))
    report = compare_cells(
        cells, profile, panel=genes, notes=[made.HOSTILE], facts={"input": made.HOSTILE}, in_plane=lying
    )
    path = tmp_path_factory.mktemp("drift") / "drift.html"
    path.write_text(render_drift(report), encoding="utf-8")
    return path


@pytest.mark.parametrize("width", [1280, 390])
def test_a_drift_report_opens_offline_and_fits(browser: "Browser", drift_file: Path, width: int) -> None:
    page, heard = open_page(browser, drift_file, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for heading in ("Measures", "Cell types", "Genes whose detection rates moved most"):
        assert page.get_by_role("heading", name=heading).is_visible()
    words = page.locator(".word").all_inner_texts()
    assert {"moved", "far", "other"} & set(words)
    assert page.get_by_text("what is judged").is_visible() == (width > 760)
    page.wait_for_timeout(200)
    assert heard == []


@pytest.mark.parametrize("width", [1280, 390])
def test_pictures_of_a_drift_report_are_whole_and_their_names_can_be_read(
    browser: "Browser", drift_file: Path, width: int
) -> None:
    page, _ = open_page(browser, drift_file, width=width)
    pictures = page.locator("figure svg").all()
    assert len(pictures) == 5  # the flat view, composition, confidence, novelty and library size
    for picture in pictures:
        box = picture.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        for text in picture.locator("text").all():
            inner = text.bounding_box()
            assert inner is not None
            assert inner["height"] > 9
            assert box["x"] - 2 <= inner["x"]
            assert inner["x"] + inner["width"] <= box["x"] + box["width"] + 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_drift_report_follows_the_browsers_colours(browser: "Browser", drift_file: Path, scheme: str) -> None:
    page, _ = open_page(browser, drift_file, color_scheme=scheme)

    def lightness(what: str, of: str) -> float:
        colour = page.eval_on_selector(what, f"one => getComputedStyle(one).{of}")
        return float(np.mean([int(part) for part in re.findall(r"\d+", colour)[:3]]))

    paper = lightness("body", "backgroundColor")
    assert (paper < 60) == (scheme == "dark")
    for what, of in (("p", "color"), ("svg text", "fill"), ("rect.new", "fill"), ("rect.ref", "fill")):
        assert abs(lightness(what, of) - paper) > 70


def test_a_drift_report_prints_in_full(browser: "Browser", drift_file: Path) -> None:
    page, _ = open_page(browser, drift_file)
    pages = page.pdf(format="A4")
    assert pages.startswith(b"%PDF")
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", pages)) <= 5
