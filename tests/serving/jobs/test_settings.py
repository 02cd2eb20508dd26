"""Settings of jobs, and the page that lists them."""

import re
from pathlib import Path

import pytest

from cellmark.serving.jobs.settings import JobSettings
from fixtures.places import ROOT


def test_the_page_and_the_settings_name_the_same_variables() -> None:
    page = (ROOT / "docs" / "jobs.md").read_text()
    assert set(re.findall(r"^\| `(CELLMARK_JOBS\w*)` \|", page, re.M)) == set(JobSettings().to_environment())


def test_paths_are_whole_for_workers_that_run_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    told = JobSettings(jobs="jobs", jobs_root="inputs").to_environment()
    again = JobSettings.from_environment(told)
    assert again.folder == tmp_path / "jobs"
    assert again.root == tmp_path / "inputs"
    assert again.database_url == f"sqlite:///{tmp_path}/jobs/queue.db"
