import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient
from typer.testing import CliRunner, Result

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RegistryError
from cellmark.serving.commands.models import models
from cellmark.training.tracking.register import register_bundle


@pytest.fixture
def two_versions(registry: str, tiny_bundle: Bundle) -> str:
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    register_bundle(tiny_bundle, name="tiny", run_id=run_id, client=client)
    return registry


def call(*arguments: str) -> Result:
    result = CliRunner().invoke(models, list(arguments), env={"COLUMNS": "80"})
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_the_list_fits_a_terminal_and_names_champions(two_versions: str) -> None:
    lines = call("list").stdout.splitlines()
    row = next(line for line in lines if "tiny " in line)
    assert row.split()[:3] == ["tiny", "1", "2"]
    assert max(len(line) for line in lines) <= 80


def test_an_empty_registry_says_what_fills_it(mlflow_store: str) -> None:
    assert "cellmark train" in call("list").stdout


def test_lists_and_entries_come_as_json_for_programs(two_versions: str) -> None:
    listed = json.loads(call("list", "--json").stdout)
    assert listed["models"][0]["aliases"] == {"challenger": "2", "champion": "1"}
    assert json.loads(call("show", "tiny", "--json").stdout)["versions"][1]["version"] == "2"
    promoted = json.loads(call("promote", "tiny", "--json").stdout)
    assert (promoted["old"], promoted["new"], promoted["moved"]) == ("1", "2", True)


def test_promoting_says_how_to_go_back_and_that_works(two_versions: str) -> None:
    said = call("promote", "tiny").stdout
    assert "champion of tiny is now version 2; it was version 1" in said
    command = said[said.index("cellmark models promote") :].split()
    assert command[:3] == ["cellmark", "models", "promote"]
    assert "champion of tiny is now version 1; it was version 2" in call(*command[2:]).stdout


def test_a_name_shows_versions_and_who_promoted_them(two_versions: str) -> None:
    call("promote", "tiny")
    shown = " ".join(call("show", "tiny").stdout.split())
    assert "version 2: made champion on" in shown
    assert "version 1: champion until" in shown


@pytest.mark.parametrize("by", ["uri", "folder"])
def test_a_bundle_is_shown_from_the_inside(by: str, registry: str, tiny_bundle: Bundle) -> None:
    model = "models:/tiny@champion" if by == "uri" else str(tiny_bundle.folder)
    shown = call("show", model).stdout
    assert "NK cell" in shown
    manifest = json.loads(call("show", model, "--json").stdout)["manifest"]
    assert manifest["bundle_digest"] == tiny_bundle.digest


def test_names_with_brackets_are_shown_as_they_are(registry: str, tiny_bundle: Bundle) -> None:
    client = MlflowClient(tracking_uri=registry)
    run_id = client.get_model_version("tiny", "1").run_id
    register_bundle(tiny_bundle, name="[red]blood", run_id=run_id, client=client)
    assert "[red]blood" in call("list").stdout
    assert "[red]blood" in call("show", "[red]blood").stdout


def test_errors_reach_the_caller_as_ours(registry: str) -> None:
    with pytest.raises(RegistryError):
        call("show", "tinny")


def test_importing_the_commands_costs_nothing_heavy() -> None:
    script = (
        "import sys, cellmark.serving.commands.models\n"
        "heavy = {'mlflow', 'pandas', 'numpy', 'anndata', 'sqlalchemy', 'torch', 'onnxruntime'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_script_refuses_in_one_paragraph(no_mlflow_settings: None, tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("cellmark")
    answer = subprocess.run(
        [script, "models", "list"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "CELLMARK_HOME": str(tmp_path / "home")},  # in that of all tests another one may register
    )
    assert answer.returncode == 1
    assert "REGISTRY_UNREACHABLE" in answer.stderr
    assert "Traceback" not in answer.stderr
