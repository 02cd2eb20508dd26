"""Facts of code, environment and date."""

import re
import subprocess
from pathlib import Path

import pytest

from cellmark.training.steps import describe as module
from cellmark.training.steps.describe import code_facts, environment_facts, now


def test_code_facts_name_version_and_commit_of_the_checkout() -> None:
    facts = code_facts()
    assert facts["version"]
    checkout = Path(module.__file__).resolve().parents[2]
    if (checkout / ".git").exists():
        assert re.fullmatch("[0-9a-f]{40}", facts["commit"] or "")


@pytest.mark.parametrize("failure", [FileNotFoundError("git"), subprocess.TimeoutExpired("git", 10)])
def test_a_machine_without_git_names_no_commit(monkeypatch: pytest.MonkeyPatch, failure: Exception) -> None:
    def fail(*arguments: object, **settings: object) -> None:
        raise failure

    monkeypatch.setattr(module.subprocess, "run", fail)
    assert code_facts()["commit"] is None


def test_environment_facts_are_versions_without_hosts_or_paths() -> None:
    facts = environment_facts()
    assert {"python", "platform", "torch", "onnx", "numpy"} <= set(facts)
    assert not any("/" in value for value in facts.values())


def test_the_date_is_utc_to_the_second() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", now())
