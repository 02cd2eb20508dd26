"""What a fresh interpreter really loads with each part of cellmark, and that importing does nothing else."""

import json
import os
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from fixtures.places import PACKAGES, ROOT

TRAINING_LIBRARIES = {"torch", "onnx", "optuna", "captum", "sklearn", "scanpy", "matplotlib"}
BENTOML_MODULES = {"cellmark.serving.service"}
"""The only modules that may load BentoML."""

COMMAND_GROUPS = ("console_scripts", "cellmark.commands", "cellmark.markers.commands")

LOOK = """
import importlib, json, os, sys
names = json.loads(sys.argv[1])
before = dict(os.environ)
for name in names:
    importlib.import_module(name)
loaded = sorted({name.split(".")[0] for name in sys.modules} | {n for n in sys.modules if n.startswith("cellmark.")})
print(json.dumps({"loaded": loaded, "files": os.listdir("."), "changed": sorted(
    name for name in before | os.environ if before.get(name) != os.environ.get(name)
)}))
"""


def modules(world: str) -> list[str]:
    """All modules of one of the packages."""
    files = sorted((ROOT / world).rglob("*.py"))
    names = [file.relative_to(ROOT / world).with_suffix("").parts for file in files]
    return [".".join((PACKAGES[world], *(part for part in parts if part != "__init__"))) for parts in names]


def import_freshly(names: list[str], folder: Path) -> dict[str, object]:
    """Import `names` in a new interpreter that works in the empty `folder`; says what it loaded and left there."""
    answer = subprocess.run(
        [sys.executable, "-c", LOOK, json.dumps(names)],
        cwd=folder,
        env={name: value for name, value in os.environ.items() if not name.startswith(("GX_", "MLFLOW_", "BENTOML"))},
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert answer.returncode == 0, answer.stderr
    return dict(json.loads(answer.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    ("names", "never"),
    [
        pytest.param(
            ["cellmark"],
            TRAINING_LIBRARIES
            | {"mlflow", "bentoml", "onnxruntime", "great_expectations", "anndata", "numpy", "pandas", "scipy"},
            id="cellmark alone",
        ),
        pytest.param(
            modules("front"),
            TRAINING_LIBRARIES | {"mlflow", "bentoml", "onnxruntime", "great_expectations", "anndata"},
            id="front",
        ),
        pytest.param(
            modules("schemas"),
            TRAINING_LIBRARIES
            | {"mlflow", "bentoml", "onnxruntime", "great_expectations", "cellmark.serving", "cellmark.training"},
            id="schemas",
        ),
        pytest.param(
            sorted(set(modules("serving")) - BENTOML_MODULES),
            TRAINING_LIBRARIES | {"mlflow", "bentoml", "great_expectations", "cellmark.training"},
            id="serving",
        ),
        pytest.param(
            sorted(set(modules("serving")) & BENTOML_MODULES),
            TRAINING_LIBRARIES | {"mlflow", "great_expectations", "cellmark.training"},
            id="service",
        ),
        pytest.param(
            modules("training"), {"bentoml", "starlette", "great_expectations", "cellmark.serving"}, id="training"
        ),
        pytest.param(
            sorted(
                {
                    entry.module
                    for group in COMMAND_GROUPS
                    for entry in entry_points(group=group)
                    if entry.module.startswith("cellmark.")
                }
            ),
            TRAINING_LIBRARIES
            | {"mlflow", "bentoml", "great_expectations", "onnxruntime", "anndata", "pandas", "scipy", "pyarrow"},
            id="command line",
        ),
    ],
)
def test_a_fresh_interpreter_loads_only_what_belongs_there(names: list[str], never: set[str], tmp_path: Path) -> None:
    if not names:
        pytest.skip("none of these modules exists")
    seen = import_freshly(names, tmp_path)
    loaded = seen["loaded"]
    assert isinstance(loaded, list)
    assert set(names) <= set(loaded)
    assert never & set(loaded) == set()


@pytest.mark.parametrize("world", sorted(PACKAGES))
def test_importing_makes_no_file_and_sets_no_variable(world: str, tmp_path: Path) -> None:
    seen = import_freshly(sorted(set(modules(world)) - BENTOML_MODULES), tmp_path)
    assert seen["files"] == []
    changed = seen["changed"]
    assert isinstance(changed, list)
    # scikit-learn sets OpenMP's variables when it is imported.
    assert [name for name in changed if not name.startswith("KMP_")] == []
