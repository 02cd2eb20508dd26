"""The documentation is whole: pages are reachable, links lead somewhere, and what it names of the code exists."""

import importlib
import re
from pathlib import Path

import pytest

from fixtures.places import PACKAGES, ROOT

DOCS = ROOT / "docs"
FRONT = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
PAGES = sorted(DOCS.rglob("*.md"))
WORLDS = tuple(PACKAGES)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
DOTTED = re.compile(r"\bcellmark(?:\.[a-zA-Z_]\w*)+")
FILE = re.compile(
    r"(?<![\w/.])(?:front|schemas|serving|training|tests|benchmarks|\.ci)/[\w/.]*\.(?:py|sh|parquet|html|md)\b"
)
FOLDER = re.compile(r"`((?:front|schemas|serving|training|tests)(?:/\w+)*)/?`")
NOT_MODULES = {
    "cellmark.commands",
    "cellmark.training_steps",
    "cellmark.markers.commands",
    "cellmark.requests",
    "cellmark.json",
}
"""Groups of entry points, a logger and a file, which look like modules."""


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """The page without its code blocks."""
    return re.sub(r"^```.*?^```$", "", text_of(page), flags=re.MULTILINE | re.DOTALL)


def links(page: Path) -> list[tuple[Path, str]]:
    """Files and anchors that the page links to in the checkout."""
    found = []
    for link in LINK.findall(prose(page)):
        if not re.match(r"[a-z]+:", link):
            path, _, anchor = link.partition("#")
            found.append(((page.parent / path).resolve() if path else page, anchor))
    return found


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_every_page_is_reachable_from_the_index() -> None:
    reached, waiting = set(), [DOCS / "index.md"]
    while waiting:
        page = waiting.pop()
        if page not in reached and page.suffix == ".md" and page.is_relative_to(DOCS):
            reached.add(page)
            waiting += [target for target, _ in links(page)]
    assert set(PAGES) - reached == set()


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=name)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for target, anchor in links(page):
        assert target.exists(), target
        assert not anchor or anchor in anchors(target), f"{target.name}#{anchor}"


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=name)
def test_no_merge_conflict_was_committed(page: Path) -> None:
    assert re.search(r"[<>]{7} ", text_of(page)) is None


def test_every_room_is_named_by_the_architecture() -> None:
    rooms = {
        str(folder.parent.relative_to(ROOT)) for world in WORLDS for folder in (ROOT / world).glob("*/__init__.py")
    }
    named = set(re.findall(r"^\| `(\w+/\w+)` \|", text_of(DOCS / "architecture.md"), flags=re.MULTILINE))
    assert named == rooms


@pytest.mark.parametrize("page", [*FRONT, *PAGES], ids=name)
def test_modules_and_files_that_a_page_names_exist(page: Path) -> None:
    text = text_of(page)
    for dotted in set(DOTTED.findall(text)) - NOT_MODULES:
        assert resolves(dotted), dotted
    for path in {*FILE.findall(text), *FOLDER.findall(prose(page))}:
        assert (ROOT / path).exists(), path


def resolves(dotted: str) -> bool:
    """Whether the name is a module of ours, or an attribute of one."""
    module, rest = dotted, []
    while module:
        try:
            value = importlib.import_module(module)
        except ModuleNotFoundError:
            module, _, last = module.rpartition(".")
            rest.insert(0, last)
            continue
        for attribute in rest:
            if not hasattr(value, attribute):
                return False
            value = getattr(value, attribute)
        return True
    return False
