"""What a reader can do with the report in a browser without a network: sources, errors as a list, search, saved files,
a dark page, a map whose labels do not cover each other.
"""

import csv
import io
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

import pytest

from cellmark.schemas.report.render import render_report
from fixtures import full_report as made
from fixtures.chromium import browser, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
__all__ = ["browser"]

LARGEST = 6_000_000
"""Bytes of a report of 30 types."""


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report of twelve types, whose names are written on the map."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(render_report(made.full_facts(12, n_genes=120)), encoding="utf-8")
    return path


def saved(page: "Page", button: str) -> tuple[str, str]:
    """Name and text of the file that a click saves."""
    with page.expect_download() as waiting:
        page.locator(button).first.click()
    return waiting.value.suggested_filename, waiting.value.path().read_text(encoding="utf-8")


def test_sources_are_behind_one_toggle(browser: "Browser", report: Path) -> None:
    page, heard = open_page(browser, report)
    assert page.locator(".source:visible, .src:visible").count() == 0
    page.get_by_label("Show sources").check()
    assert page.locator(".source:visible").count() > 20
    assert page.locator("th.src:visible").count() >= 1
    assert heard == []


@pytest.mark.parametrize(("width", "matrix", "beside", "listed"), [(390, 0, 0, 1), (800, 1, 1, 0), (1280, 1, 1, 0)])
def test_a_confusion_matrix_is_a_list_on_a_phone(
    browser: "Browser", report: Path, width: int, matrix: int, beside: int, listed: int
) -> None:
    page, _ = open_page(browser, report, width=width)
    pair = page.locator(".pair").first
    shown = [pair.locator(part).is_visible() for part in (".matrix", ".beside", ".listed")]
    assert shown == [bool(matrix), bool(beside), bool(listed)]
    if matrix:
        picture, errors = (page.locator(part).first.bounding_box() for part in (".pair .matrix", ".pair .beside"))
        assert picture is not None
        assert errors is not None
        assert (errors["x"] > picture["x"] + picture["width"] - 1) == (width >= 1200)


@pytest.mark.parametrize("n_types", [12, 30])
def test_labels_of_the_map_do_not_cover_each_other(browser: "Browser", tmp_path: Path, n_types: int) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(made.full_facts(n_types)), encoding="utf-8")
    page, _ = open_page(browser, path)
    boxes = page.evaluate(
        """() => [...document.querySelectorAll('.maps text.name')].map(t => {
            const b = t.getBoundingClientRect(); return [b.left, b.right, b.top + 3, b.bottom - 3]; })"""
    )
    assert len(boxes) == n_types
    covered = [
        (one, other)
        for place, one in enumerate(boxes)
        for other in boxes[:place]
        if one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
    ]
    assert covered == []


def test_a_gene_is_found_in_the_marker_tables(browser: "Browser", report: Path) -> None:
    page, heard = open_page(browser, report, width=390)
    own = made.full_facts(12, n_genes=120).markers
    own = own[(own["gene_symbol"] == "GENE7") & (own["rank"] <= 100)].sort_values("rank")
    page.get_by_label("Find a gene").fill("gene7")
    table = page.locator("#found table")
    assert table.locator("tbody tr td:first-child").all_inner_texts() == list(own["cell_type"])
    assert table.locator("tbody tr td:nth-child(2)").all_inner_texts() == [str(rank) for rank in own["rank"]]
    table.locator("a").last.click()
    assert page.locator(".panel:visible h3").inner_text() == own["cell_type"].iloc[-1]
    page.get_by_label("Find a gene").fill("GENE11")
    page.get_by_label("Find a gene").fill("NOSUCH")
    assert "No type has this gene" in page.locator("#found").inner_text()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert heard == []


def test_markers_are_saved_as_they_are_in_the_table(browser: "Browser", report: Path) -> None:
    page, heard = open_page(browser, report)
    name, text = saved(page, "#all-markers")
    assert name == "full-model-markers.csv"
    rows = list(csv.DictReader(io.StringIO(text)))
    expected = made.full_facts(12, n_genes=120).markers
    expected = expected[expected["rank"] <= 100]
    assert [(row["cell_type"], int(row["rank"]), row["gene_symbol"]) for row in rows] == list(
        expected[["cell_type", "rank", "gene_symbol"]].itertuples(index=False, name=None)
    )
    assert [float(row["auc"]) for row in rows] == pytest.approx(list(expected["auc"]), rel=1e-3)
    page.locator(".picker a").nth(4).click()
    name, text = saved(page, "#type-5 [data-markers]")
    assert name == "full-model-markers-type-5-of-cells.csv"
    assert {row["cell_type"] for row in csv.DictReader(io.StringIO(text))} == {"type 5 of cells"}
    assert heard == []


def test_a_picture_is_saved_as_svg_that_stands_alone(browser: "Browser", report: Path) -> None:
    page, heard = open_page(browser, report, color_scheme="dark")
    name, text = saved(page, "#accuracy .matrix button.svg")
    assert name.startswith("full-model-confusion-of-")
    root = ElementTree.fromstring(text)  # our own file
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    style = root.find("{http://www.w3.org/2000/svg}style")
    assert style is not None
    assert style.text is not None
    assert ".r0{fill:#f7fbff}" in style.text  # on white, though the page is dark
    assert "var(" not in text
    assert made.HOSTILE[:10] in "".join(root.itertext())
    assert heard == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_on_a_light_and_on_a_dark_page(browser: "Browser", report: Path, scheme: str) -> None:
    """Contrast of at least 4.5 (WCAG AA) between a text and the nearest ground that is painted behind it."""
    page, _ = open_page(browser, report, color_scheme=scheme)
    page.get_by_label("Show sources").check()
    dim = page.evaluate(
        """() => {
          const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
          const linear = v => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
          const light = c => { const [r, g, b] = c.map(linear); return .2126 * r + .7152 * g + .0722 * b; };
          const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
            if (c.length === 3 || c[3] > .5) return c; } return [255, 255, 255]; };
          const found = [];
          for (const e of document.querySelectorAll('main *, header *, nav *, footer *')) {
            const written = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
            if (e.closest('svg') || !written || !e.offsetWidth) continue;
            const a = light(parse(getComputedStyle(e).color)), b = light(ground(e));
            const contrast = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
            if (contrast < 4.5) found.push([e.tagName + '.' + e.className, e.textContent.slice(0, 30), contrast]);
          } return found; }"""
    )
    assert dim == []


def test_the_reader_chooses_a_dark_page_and_a_light_one(browser: "Browser", report: Path) -> None:
    page, _ = open_page(browser, report)
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Dark page").click()
    assert page.evaluate(ground) != light
    page.get_by_role("button", name="Light page").click()
    assert page.evaluate(ground) == light


def test_thirty_types_fit_into_six_megabytes() -> None:
    assert len(render_report(made.full_facts(30, n_cells=5_000, n_genes=2_000)).encode()) < LARGEST
