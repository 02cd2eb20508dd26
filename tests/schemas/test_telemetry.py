"""Nothing that cellmark runs reports to anybody."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.telemetry import SWITCHES, refuse_telemetry

LOAD = """
import sys
from cellmark.serving import Annotator
from cellmark.serving.http.served_model import ServedModel
from cellmark.serving.http.settings import ServiceSettings
served = ServedModel()
served.load(ServiceSettings(model=sys.argv[1]))
served.get().session.self_test()
"""


def test_what_the_user_has_set_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in SWITCHES:
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "false")
    refuse_telemetry()
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "false"
    assert os.environ["ORT_DISABLE_TELEMETRY"] == "1"
    for variable in SWITCHES:
        monkeypatch.setenv(variable, os.environ[variable])  # so that all of them are put back


def test_the_model_server_writes_no_identifier_and_no_session_file(tiny_bundle: Bundle, tmp_path: Path) -> None:
    # Telemetry is silent by itself where CI is set, so it is taken out here.
    silencing = ("CI", "GITHUB_ACTIONS", *SWITCHES)
    environment = {name: value for name, value in os.environ.items() if name not in silencing}
    folders = {name: str(tmp_path) for name in ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")}
    subprocess.run(
        [sys.executable, "-c", LOAD, str(tiny_bundle.folder)],
        env={**environment, **folders},
        cwd=tmp_path,
        check=True,
        timeout=120,
    )
    assert [path.name for path in tmp_path.rglob("*")] == []
