"""Files that a newcomer reads first stay short, and no folder becomes a pile."""

import ast
from pathlib import Path

import pytest

from fixtures.places import PACKAGES, ROOT

WORLDS = tuple(PACKAGES)
LONGEST_FILE, LONGEST_BUNDLE, LONGEST_STORY = 300, 200, 70
"""Lines of any file, of `schemas/bundle.py`, and of the function `train`."""
MOST_MODULES = 35


def n_lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def test_the_story_of_a_training_fits_on_a_page() -> None:
    tree = ast.parse((ROOT / "training" / "run.py").read_text(encoding="utf-8"))
    (story,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "train")
    assert story.end_lineno is not None
    assert story.end_lineno - story.lineno < LONGEST_STORY
    assert n_lines(ROOT / "schemas" / "bundle.py") <= LONGEST_BUNDLE


@pytest.mark.parametrize("world", WORLDS)
def test_no_file_is_long_and_no_folder_is_a_pile(world: str) -> None:
    files = sorted((ROOT / world).rglob("*.py"))
    assert [str(path) for path in files if n_lines(path) > LONGEST_FILE] == []
    for folder in {path.parent for path in files}:
        assert len(list(folder.glob("*.py"))) - 1 <= MOST_MODULES, folder.name
