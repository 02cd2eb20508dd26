"""The book of docs/*.md: `make docs`. Sphinx reads the checkout's root, so that GitHub's links between pages work."""

import os
import re
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
FRONT = ("README", "CONTRIBUTING", "SECURITY", "CHANGELOG", "schemas/data/README")

project = "cellmark"
author = "The cellmark authors"
html_title = "cellmark"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "docs/index"
include_patterns = [*(f"{name}.md" for name in FRONT), "docs/**.md"]
exclude_patterns = [".*", "**/__pycache__"]

myst_heading_anchors = 4  # the anchors that GitHub makes

# Tutorials run in a folder of their own each time, and fail the build where a cell fails.
nb_execution_mode = "force"
nb_execution_in_temp = True
nb_execution_timeout = 300  # seconds for a cell, on a machine that does other work as well
nb_execution_raise_on_error = True
nb_merge_streams = True
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"  # tqdm, which would like to draw a widget

default_role = "code"  # single backticks in docstrings
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
python_maximum_signature_line_length = 88  # one parameter per line otherwise
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "sphinx_book_theme"
html_theme_options = {
    "show_toc_level": 2,
    "navbar_persistent": [],  # the sidebar has the search
    "use_download_button": False,
    "use_fullscreen_button": False,
}
html_static_path = ["_static"]
html_css_files = ["book.css"]
html_copy_source = False
html_show_sourcelink = False
html_use_index = False


def chapters(text: str, folder: Path) -> dict[str, list[str]]:
    """The pages that an index links to, once each, by the heading that they stand under."""
    found: dict[str, list[str]] = {}
    seen: set[str] = set()
    heading = ""
    for line in text.splitlines():
        heading = line.removeprefix("## ") if line.startswith("## ") else heading
        for target in re.findall(r"\]\(([^)#:]+)\.md(?:#[^)]*)?\)", line):
            if target not in seen and (folder / f"{target}.md").is_file():
                seen.add(target)
                found.setdefault(heading, []).append(target)
    return found


def add_contents(app: Sphinx, docname: str, source: list[str]) -> None:
    """Make the book's order from the links of its index pages, which GitHub shows as they are."""
    if docname.endswith("/index"):
        for heading, pages in chapters(source[0], (ROOT / docname).parent).items():
            caption = f":caption: {heading}\n" if heading else ""
            source[0] += f"\n```{{toctree}}\n:hidden:\n{caption}\n" + "\n".join(pages) + "\n```\n"


def shorten_types(
    app: Sphinx, what: str, name: str, value: object, options: object, signature: str, returned: str | None
) -> tuple[str, str | None] | None:
    """NumPy's union of all that becomes an array is called by its name."""
    if not signature:
        return None
    return re.sub(r"~?numpy\._typing\..*?(?= \| ~?cellmark)", "ArrayLike", signature), returned


def add_entrance(app: Sphinx, failed: Exception | None) -> None:
    """The folder's first page leads to the index; says how long the tutorials ran."""
    if failed is None:
        page = '<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
        (Path(app.outdir) / "index.html").write_text(page, encoding="utf-8")
        ran = {
            name: facts["exec_data"]["runtime"] for name, facts in app.env.nb_metadata.items() if "exec_data" in facts
        }
        each = ", ".join(f"{Path(name).name} {seconds:.0f}" for name, seconds in ran.items())
        print(f"{len(ran)} tutorials ran in {sum(ran.values()):.0f} s: {each}")


def setup(app: Sphinx) -> None:
    app.connect("source-read", add_contents)
    app.connect("autodoc-process-signature", shorten_types)
    app.connect("build-finished", add_entrance)
