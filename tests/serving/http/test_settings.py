"""What is wrong with the service's variables is said at once, in the words of its page."""

import re

import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.reader.reading_rules import ReadingRules
from fixtures.places import ROOT

TABLE = dict(
    re.findall(r"^\| `(CELLMARK_\w+)` \|[^|]*\| (.+) \|$", (ROOT / "docs/service.md").read_text("utf-8"), re.MULTILINE)
)
"""Meaning of each variable, as the page says it."""
TEXTS = {variable for variable in TABLE if variable.startswith("CELLMARK_MODEL")}


@pytest.mark.parametrize("text", ["many", "0", "-1", "1.5", "1e3", "٣", "9" * 5000])
def test_all_wrong_variables_are_reported_at_once(text: str) -> None:
    wrong = dict.fromkeys(TABLE, text)
    with pytest.raises(ParameterError) as raised:
        ServiceSettings.from_environment(wrong)
    assert {finding.where for finding in raised.value.findings} == set(TABLE) - TEXTS
    for finding in raised.value.findings:
        assert finding.code == "PARAMETER_INVALID"
        assert finding.remedy == f"Set {finding.where}: {TABLE[finding.where]}."
        assert len(finding.found) < 50


def test_the_page_and_the_settings_name_the_same_variables() -> None:
    assert set(TABLE) == set(ServiceSettings().to_environment())


def test_blank_variables_count_as_not_set() -> None:
    assert ServiceSettings.from_environment(dict.fromkeys(TABLE, "  ")) == ServiceSettings()


def test_reading_rules_ignore_variables_of_the_server() -> None:
    assert ReadingRules.from_environment({"CELLMARK_WORKERS": "0"}) == ReadingRules.from_environment({})


def test_settings_out_of_bounds_cannot_be_made() -> None:
    with pytest.raises(ParameterError, match="CELLMARK_WORKERS"):
        ServiceSettings(workers=0)
