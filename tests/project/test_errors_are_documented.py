"""Every code stands in `docs/errors.md` with its status and meaning, and nothing else does."""

import re

from cellmark.schemas.error_codes import CODES
from fixtures.places import ROOT

PAGE = ROOT / "docs" / "errors.md"
ROW = re.compile(r"^\| `([A-Z_]+)` \| (\d{3}) \| (.+) \|$", re.MULTILINE)
SOURCES = ("schemas", "training", "serving")


def test_every_code_is_documented_with_its_status_and_meaning() -> None:
    documented = {code: (int(status), meaning) for code, status, meaning in ROW.findall(PAGE.read_text())}
    assert documented == {code: (entry.status, entry.meaning) for code, entry in CODES.items()}


def test_every_code_is_used_somewhere() -> None:
    root = PAGE.parents[1]
    text = "".join(
        path.read_text()
        for folder in SOURCES
        for path in (root / folder).rglob("*.py")
        if path.name != "error_codes.py"
    )
    unused = [code for code in CODES if f'"{code}"' not in text]
    assert unused == []
