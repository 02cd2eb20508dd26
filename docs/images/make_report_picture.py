"""The picture of a report in docs/tasks.md: `python docs/images/make_report_picture.py MODEL_OR_BUNDLE`.

Needs Chromium and playwright, as the tests of the report do. It is of `cellmark train
pancreas_baron_human.h5ad --label cell_type --donor batch --name pancreas`.
"""

import shutil
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

from cellmark.schemas.report.facts import read_facts
from cellmark.schemas.report.render import render_report
from cellmark.serving.models.model_source import open_model

PICTURE = Path(__file__).resolve().with_name("report.png")
FIRST_SCREEN_AND_MAP = """
nav { display: none }
main > section:not(#summary, #map), footer { display: none }
main > section { margin-top: 0; padding-top: 12px }
.tools, #summary .know, .numbers, #map h2, #map .why, #map .legend, button.svg { display: none }
"""


def main() -> None:
    source = open_model(sys.argv[1])
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        page_file = Path(scratch) / "report.html"
        facts = read_facts(source.bundle, name=source.name, version=source.version)
        page_file.write_text(render_report(facts), encoding="utf-8")
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1180, "height": 600})
        page.goto(page_file.as_uri())
        page.add_style_tag(content=FIRST_SCREEN_AND_MAP)
        page.screenshot(path=PICTURE, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
