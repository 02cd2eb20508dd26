"""Help texts, error codes and messages are in plain English: some habits that newcomers stumbled over stay out."""

import ast
import re
from collections.abc import Iterator

import pytest

from cellmark.schemas.error_codes import CODES
from fixtures.places import PACKAGES, ROOT

WORLDS = tuple(PACKAGES)
FILES = sorted(file for world in WORLDS for file in (ROOT / world).rglob("*.py"))
HABITS = {
    "a fragment": r"^Of ",
    "omit": r"\bleaves? (\S+ ){1,3}away\b|\bleft away\b",
    "invalid, not": r"\bthat (is|are) none\b",
    "resumable": r"\bto be stopped\b|\bgone on with\b",
    "separate, distinguish": r"\bapart\b",
    "fix": r"\bmend(s|ed|ing)?\b",
    "report, notify": r"\btold\b",
    "UMAP, map": r"\bin the plane\b",
    "novel": r"\bstranger?\b",
    "untrusted": r"\bnobody vouches\b",
    "cross-validation": r"\bin turn\b.*\bheld out\b|\bheld out in turn\b",
    "confusion matrix": r"\btaken for which\b",
}


def words(node: ast.AST) -> Iterator[str]:
    """The texts inside an expression, also those of an f-string."""
    for part in ast.walk(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield part.value


def named(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def texts() -> Iterator[tuple[str, str]]:
    """What users read, with the place where it stands: help texts, commands' descriptions and messages."""
    for file in FILES:
        place = str(file.relative_to(ROOT))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            at = f"{place}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.Call) and named(node) in ("Option", "Argument", "Field"):
                for keyword in node.keywords:
                    if keyword.arg in ("help", "description"):
                        yield from ((at, text) for text in words(keyword.value))
            elif isinstance(node, ast.Call) and (
                named(node) in ("Finding", "of", "not_a_choice") or named(node).endswith("Error")
            ):
                yield from ((at, text) for text in words(node))
            elif isinstance(node, ast.FunctionDef) and "/commands/" in f"/{place}":
                yield at, ast.get_docstring(node) or ""
    yield from ((f"error_codes.py: {code}", entry.meaning) for code, entry in CODES.items())


TEXTS = list(texts())


def test_there_are_texts_to_look_at() -> None:
    assert len(TEXTS) > 1000


@pytest.mark.parametrize("better", HABITS)
def test_help_texts_and_messages_keep_out(better: str) -> None:
    habit = re.compile(HABITS[better])
    assert [(at, text) for at, text in TEXTS if habit.search(text)] == []


def test_no_docstring_begins_with_a_fragment() -> None:
    """ "Of a whole run." leaves open what of it. All texts that stand alone are looked at, those below names too."""
    found = []
    for file in (*FILES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            text = node.value.value if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else None
            if isinstance(text, str) and text.startswith("Of "):
                found.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert found == []


def test_every_option_has_a_help_text_that_is_a_sentence() -> None:
    for file in FILES:
        if "commands" not in file.parts:
            continue
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and named(node) in ("Option", "Argument"):
                text = "".join(words(next((k.value for k in node.keywords if k.arg == "help"), ast.Constant(""))))
                assert re.match(r"^[A-Za-z0-9.].*[.\])]$", text), f"{file.name}:{node.lineno}: {text!r}"
