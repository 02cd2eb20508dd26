"""The contracts in pyproject.toml are kept, and each of them notices a violation planted in a copy of the sources."""

import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from fixtures.places import PACKAGES, ROOT

pytestmark = pytest.mark.skipif(
    find_spec("importlinter") is None, reason="import-linter is not installed: pip install '.[check]'"
)


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """A copy of the packages and of the configuration, to plant imports in."""
    for folder in (*PACKAGES, "tests/typing"):
        shutil.copytree(ROOT / folder, tmp_path / folder, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def lint(sources: Path) -> subprocess.CompletedProcess[str]:
    command = (
        "import sys; from importlinter.cli import lint_imports_command as run; sys.argv[0] = 'lint-imports'; run()"
    )
    return subprocess.run(
        [sys.executable, "-c", command, "--no-cache", "--no-logo"],
        cwd=sources,
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_the_sources_keep_every_contract(sources: Path) -> None:
    answer = lint(sources)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "0 broken" in answer.stdout


@pytest.mark.parametrize(
    ("room", "planted", "contract"),
    [
        ("schemas", "import cellmark.serving", "The contract knows neither world"),
        ("schemas", "def f():\n    from cellmark.training import run", "The contract knows neither world"),
        ("schemas", "import torch", "The contract needs no training, tracking or serving library"),
        ("schemas", "def f():\n    import mlflow.onnx", "The contract needs no training, tracking or serving library"),
        ("serving", "def f():\n    import cellmark.training.run", "Training and serving never import each other"),
        ("training", "from cellmark.serving import Annotator", "Training and serving never import each other"),
        ("serving", "def f():\n    import great_expectations as gx", "Great Expectations in one module"),
        ("serving", "def f():\n    from onnx import helper", "Serving needs nothing of the training extra"),
        ("serving", "def f():\n    from mlflow import MlflowClient", "Serving asks MLflow in one module"),
        ("training", "def f():\n    import bentoml", "Training needs no web stack"),
        ("front/pl", "def f():\n    import mlflow", "The front door leaves heavy libraries to the worlds"),
        ("front/pl", "import torch", "The front door leaves heavy libraries to the worlds"),
        ("serving", "from cellmark import load", "The front door opens on the worlds, which do not know it"),
        ("training", "import cellmark as cm", "The front door opens on the worlds, which do not know it"),
        ("schemas/counts", "def f():\n    from ..cells import read", "Rooms of schemas"),
        ("serving/scoring", "from .. import annotator", "Rooms of serving"),
        ("training/network", "def f():\n    from ..tuning import tune", "Rooms of training"),
    ],
)
def test_a_planted_import_breaks_its_contract(sources: Path, room: str, planted: str, contract: str) -> None:
    (sources / room / "planted.py").write_text(planted + "\n")
    answer = lint(sources)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert f"{contract} BROKEN" in answer.stdout
    package = PACKAGES[room.split("/")[0]] + room.removeprefix(room.split("/")[0]).replace("/", ".")
    assert f"{package}.planted" in answer.stdout


def test_a_front_file_without_a_layer_is_noticed(sources: Path) -> None:
    (sources / "schemas" / "planted.py").touch()
    answer = lint(sources)
    assert answer.returncode == 1, answer.stdout + answer.stderr
    assert "Rooms of schemas BROKEN" in answer.stdout
