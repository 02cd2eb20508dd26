"""The page of a job in a real browser: it opens without complaint, sorts, finds, fits a phone and paper."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from cellmark.serving.batch.job_report import render_job
from fixtures.chromium import browser, open_page
from fixtures.drawn_job import drawn_job

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.chromium
__all__ = ["browser"]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("job") / "report.html"
    path.write_text(render_job(drawn_job()), encoding="utf-8")
    return path


def shown(page: "Page") -> list[str]:
    return page.locator(".samples tbody tr:visible .name").all_inner_texts()


@pytest.mark.parametrize("width", [320, 390, 768, 1400])
def test_it_opens_offline_without_a_word_and_fits(browser: "Browser", file: Path, width: int) -> None:
    page, heard = open_page(browser, file, width=width)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for section in ("first", "samples", "types", "findings", "times", "receipts"):
        assert page.locator(f"#{section} h2").first.is_visible()
    assert len(shown(page)) == 40
    page.locator(".comp rect").first.hover()
    assert "cells (" in page.locator("#tip").inner_text()
    page.wait_for_timeout(100)
    assert heard == []


def test_heads_sort_by_mouse_and_keyboard_and_samples_without_a_value_stay_last(browser: "Browser", file: Path) -> None:
    page, heard = open_page(browser, file)
    expected = drawn_job().samples
    head = page.locator("th[data-key=cells]")
    head.locator("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    assert shown(page)[0] == "sample 07"
    assert shown(page)[-1] == "broken"
    head.locator("button").press("Enter")
    assert head.get_attribute("aria-sort") == "descending"
    assert shown(page)[0] == max(expected, key=lambda one: one.n_cells or 0).name
    assert shown(page)[-1] == "broken"
    page.select_option("#sort", "unassigned:down")
    assert shown(page)[0] == "sample 01"
    page.select_option("#sort", "")
    assert shown(page) == [one.name for one in expected]
    assert heard == []


def test_samples_are_found_by_words_and_flags(browser: "Browser", file: Path) -> None:
    page, heard = open_page(browser, file)
    page.fill("#find", "D1 spleen")
    names = {one.name for one in drawn_job().samples if one.donor == "d1" and one.metadata.get("tissue") == "spleen"}
    assert set(shown(page)) == names
    assert page.locator("#shown").inner_text() == f"{len(names)} of 40 samples"
    page.fill("#find", "no such word")
    assert shown(page) == []
    page.locator("#first a", has_text="sample 01").first.click()
    assert len(shown(page)) == 40
    page.check("#flagged")
    assert {"sample 01", "broken", "sample 07"} <= set(shown(page))
    assert "sample 20" not in shown(page)
    assert heard == []


def test_a_type_is_shown_alone_and_sorts_by_its_share(browser: "Browser", file: Path) -> None:
    page, heard = open_page(browser, file)
    button = page.locator(".legend button", has_text="CD4 T")
    button.focus()
    page.keyboard.press("Space")
    assert button.get_attribute("aria-pressed") == "true"
    good = [one for one in drawn_job().samples if one.is_ok]
    assert shown(page)[0] == max(good, key=lambda one: one.types.get("CD4 T", 0) / one.cells).name
    opacity = "getComputedStyle(document.querySelector('.comp rect.t%d')).opacity"
    assert [page.evaluate(opacity % place) for place in (0, 1)] == ["1", "0.12"]
    page.keyboard.press("Space")
    assert shown(page)[0] == "sample 00"
    assert page.evaluate(opacity % 1) == "1"
    assert heard == []


def test_without_scripts_and_on_paper_every_sample_is_there(browser: "Browser", file: Path) -> None:
    page, _ = open_page(browser, file, java_script_enabled=False)
    assert len(shown(page)) == 40
    assert page.locator(".tools").is_hidden()
    page, _ = open_page(browser, file)
    page.emulate_media(media="print")
    assert page.locator(".tools").is_hidden()
    assert len(shown(page)) == 40
    assert page.pdf(format="A4", print_background=True).startswith(b"%PDF")
