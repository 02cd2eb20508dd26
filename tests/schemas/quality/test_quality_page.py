"""Data Docs: a first page with every fact of the report, and pages that a browser without a network shows in full."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.quality.expectations import run_expectations
from cellmark.schemas.quality.quality_page import first_page, without_network
from cellmark.schemas.quality.quality_report import NotMeasured, QualityCheck, QualityReport
from cellmark.schemas.quality.quality_suites import make_expectations
from fixtures.chromium import browser, open_page

if TYPE_CHECKING:
    from playwright.sync_api import Browser

__all__ = ["browser"]

HOSTILE = "<script>alert(1)</script>"


def check(*, success: bool, column: str | None = "total_counts", percent: float | None = 13.9) -> QualityCheck:
    return QualityCheck("cells", column, "between", success, f"between 1 and 2 {HOSTILE}", "3", percent, "Why not.")


def test_the_first_page_says_all_that_the_report_says_and_nothing_is_markup() -> None:
    checks = (check(success=False), check(success=True, column=None, percent=None))
    report = QualityReport(HOSTILE, checks, (NotMeasured("cells", "mitochondrial_fraction", "input"),))
    page = first_page(report, ["validations/a b/x.html", "expectations/a b.html"])
    assert "<script" not in page
    assert "1 of 2 expectations are not met (cells.total_counts)" in page
    for fact in ("between 1 and 2 &lt;script", ">3<", "14 %", "Why not.", "the whole table"):
        assert fact in page
    assert "cells.mitochondrial_fraction: not measured by this input" in page
    assert 'href="validations/a%20b/x.html"' in page
    assert re.findall(r'class="(good|bad)">', page) == ["bad", "good"]
    assert "every expectation is met" in first_page(QualityReport("x", checks[1:], ()), [])


@pytest.mark.parametrize(
    "remote",
    ['<script src="https://a.org/x.js"></script>', "<script>\nlet a = 1\n</script >", '<link rel="x" href="//a.org">',
     '<img\n  src="https://a.org/x.png"/>', '<footer id="f"><a href="https://a.org">news</a></footer>',
     "<style>a{background:url('https://a.org/x.png')}</style>", '<b onclick="go()">x</b>'],
)  # fmt: skip
def test_nothing_of_other_servers_is_left_in_a_page(remote: str) -> None:
    page = without_network(f"<html><head><title>t</title></head><body><p>kept</p>{remote}</body></html>")
    assert "a.org" not in page
    assert "<script" not in page
    assert "onclick" not in page
    assert "<p>kept</p>" in page
    assert "default-src 'none'" in page


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, QualityReport]:
    """Data Docs of cells of which one measure is other than in training."""
    generator = np.random.default_rng(0)
    cells = pd.DataFrame(
        {
            "cell_id": [f"c{number}" for number in range(400)],
            "total_counts": generator.lognormal(8, 0.3, 400),
            "genes_detected": generator.integers(800, 1500, 400),
            "panel_fraction": generator.uniform(0.4, 0.6, 400),
        }
    )
    sample: dict[str, Any] = {
        "n_cells": 400, "n_genes": 20_000, "panel_overlap": 1.0, "whole_numbers": True, "finite": True
    }  # fmt: skip
    expectations = make_expectations(cells, pd.DataFrame([sample]), name="pbmc")
    folder = tmp_path_factory.mktemp("quality") / "docs"
    report = run_expectations(
        expectations, cells.assign(total_counts=cells["total_counts"] / 10), pd.DataFrame([sample]), data_docs=folder
    )
    return folder, report


@pytest.mark.chromium
@pytest.mark.parametrize("width", [1280, 390])
def test_every_page_is_whole_without_a_network(
    browser: "Browser", docs: tuple[Path, QualityReport], width: int
) -> None:
    folder, report = docs
    assert report.failed
    pages = sorted(folder.rglob("*.html"))
    assert len(pages) == 5
    for path in pages:
        page, heard = open_page(browser, path, width=width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.wait_for_timeout(100)
        assert heard == [], path
        for link in page.locator("a:visible").all():
            href = link.get_attribute("href") or ""
            assert href.startswith("#") or (path.parent / href.split("#")[0]).is_file(), href
    page, _ = open_page(browser, folder / "index.html", width=width)
    rows = page.locator("tbody tr")
    assert rows.count() == len(report.checks)
    assert page.locator("td.bad").count() == len(report.failed)
    (found,) = (folder / "validations" / "pbmc-cells").rglob("*.html")
    page, _ = open_page(browser, found, width=width)
    marks = page.eval_on_selector_all(
        "td i.fas", "all => all.map(one => getComputedStyle(one, '::before').content.replaceAll('\"', ''))"
    )
    assert marks.count("✗") == sum(one.table == "cells" for one in report.failed)
    assert set(marks) == {"✓", "✗"}
