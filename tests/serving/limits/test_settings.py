"""Settings of limits: their variables, their bounds, and their line in the docs."""

from dataclasses import fields
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cellmark.schemas.errors import ParameterError
from cellmark.serving.limits.settings import LimitSettings, free_memory, state_folder
from fixtures.places import ROOT


def test_every_setting_stands_in_the_docs_with_its_meaning() -> None:
    page = (ROOT / "docs" / "limits.md").read_text(encoding="utf-8")
    properties = TypeAdapter(LimitSettings).json_schema()["properties"]
    for each in fields(LimitSettings):
        row = next(line for line in page.splitlines() if line.startswith(f"| `CELLMARK_{each.name.upper()}` |"))
        assert row.endswith(f"| {properties[each.name]['description']} |")


def test_settings_survive_the_way_through_the_environment() -> None:
    settings = LimitSettings(rate=2.5, drain_seconds=0, queue=3, allowed_hosts="a.example,b.example")
    assert LimitSettings.from_environment(settings.to_environment()) == settings
    assert LimitSettings.from_environment({}) == LimitSettings()


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CELLMARK_RATE", "-1", "a number, 0 or more"),
        ("CELLMARK_QUEUE", "many", "a whole number"),
        ("CELLMARK_QUEUE", "0", "a whole number"),
        ("CELLMARK_REQUEST_SECONDS", "0", "a number above 0"),
        ("CELLMARK_REQUEST_SECONDS", "soon", "a number"),
        ("CELLMARK_DRAIN_SECONDS", "1e9", "a smaller number"),
    ],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(name: str, value: str, expected: str) -> None:
    with pytest.raises(ParameterError) as raised:
        LimitSettings.from_environment({name: value})
    (finding,) = raised.value.findings
    assert finding.where == name
    assert finding.expected.startswith(expected)
    assert finding.remedy.startswith(f"Set {name}: ")


def test_hosts_are_names_in_lower_case() -> None:
    assert LimitSettings().hosts() is None
    assert LimitSettings(allowed_hosts="A.example, [::1] ,").hosts() == {"a.example", "[::1]"}


def test_the_memory_of_a_container_counts(tmp_path: Path) -> None:
    machine = free_memory(tmp_path)
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("5000\n")
    assert free_memory(tmp_path) == pytest.approx(machine, rel=0.5)
    (tmp_path / "memory.max").write_text("12000\n")
    assert free_memory(tmp_path) == 7000


def test_workers_share_a_folder_where_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CELLMARK_STATE", raising=False)
    assert state_folder() is None
    monkeypatch.setenv("CELLMARK_STATE", "/state")
    assert state_folder() == Path("/state")
