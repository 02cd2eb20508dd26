"""docs/checks.md: every code of an input stands there, and its examples print what the page shows."""

import re
import warnings
from pathlib import Path
from typing import Any

import pytest

from cellmark.schemas.error_codes import CODES
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
SETUPS = re.findall(r"<!-- setup -->\n```python\n(.*?)```", PAGE, flags=re.DOTALL)
SECTION = re.compile(r"^### ([A-Z_]+)\n(.*?)(?=^##|\Z)", re.MULTILINE | re.DOTALL)
EXAMPLE = re.compile(r"```python\n(.*?)```\n```text\n(.*?)```", re.DOTALL)
SECTIONS: dict[str, str] = dict(SECTION.findall(PAGE))
EXAMPLES = {code: found.groups() for code, text in SECTIONS.items() if (found := EXAMPLE.search(text))}
FIRST_OF_MODELS = "MODEL_UNKNOWN"
NOT_RUN = {
    "COUNTS_ONE_DEPTH", "GENE_LIST_UNMATCHED", "QUALITY_UNEXPECTED", "PANEL_EMPTY", "TUNING_UNFINISHED",
    "STUDY_MISMATCH", "LABELS_NOT_SHARED", "FEATURES_KEPT", "SAMPLE_SHIFTED", "SAMPLE_BEYOND_TRAINING",
    "TYPES_FOREIGN_TO_SAMPLE",
    "SAMPLE_IN_PIECES",
}  # fmt: skip
"""Codes whose examples would need a training, a model or a real experiment; the tests of their modules have them."""


def plain(text: str) -> str:
    return " ".join(text.split())


def test_every_code_of_an_input_has_its_section() -> None:
    codes = list(CODES)
    of_inputs = codes[: codes.index(FIRST_OF_MODELS)]
    assert set(SECTIONS) == set(of_inputs)
    assert len(SECTION.findall(PAGE)) == len(SECTIONS)


def test_every_section_has_an_example_or_says_why_not() -> None:
    assert set(SECTIONS) - set(EXAMPLES) == NOT_RUN
    assert all("No example here" in SECTIONS[code] for code in NOT_RUN)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("code", EXAMPLES)
def test_an_example_prints_what_the_page_shows(
    code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    example, shown = EXAMPLES[code]
    space: dict[str, Any] = {}
    monkeypatch.chdir(tmp_path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for setup in SETUPS:
            exec(setup, space)
        space["adata"] = space["some_cells"]()
        capsys.readouterr()
        exec(example, space)
    assert plain(capsys.readouterr().out) == plain(shown)
    assert f"[{code}]" in shown
