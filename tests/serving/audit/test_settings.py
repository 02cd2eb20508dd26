"""Settings of the audit log, and the page that lists them."""

import re
from pathlib import Path

import pytest

from cellmark.schemas.errors import ParameterError
from cellmark.serving.audit.settings import AuditSettings
from fixtures.places import ROOT


def test_the_page_and_the_settings_name_the_same_variables() -> None:
    page = (ROOT / "docs" / "audit.md").read_text()
    assert set(re.findall(r"^\| `(CELLMARK_AUDIT\w*)` \|", page, re.M)) == set(AuditSettings().to_environment())


def test_settings_travel_to_workers(tmp_path: Path) -> None:
    given = AuditSettings(audit="sqlite:///x.db", audit_create=False, audit_seconds=2.5, audit_max_bytes=10**6)
    assert AuditSettings.from_environment(given.to_environment()) == given
    assert AuditSettings.from_environment({}).url is None
    assert (
        AuditSettings.from_environment({"CELLMARK_AUDIT": str(tmp_path / "a.db")}).url == f"sqlite:///{tmp_path}/a.db"
    )


def test_wrong_ones_are_all_named() -> None:
    with pytest.raises(ParameterError) as refused:
        AuditSettings.from_environment({"CELLMARK_AUDIT_SECONDS": "soon", "CELLMARK_AUDIT_MAX_BYTES": "1"})
    assert {finding.where for finding in refused.value.findings} == {
        "CELLMARK_AUDIT_SECONDS",
        "CELLMARK_AUDIT_MAX_BYTES",
    }
