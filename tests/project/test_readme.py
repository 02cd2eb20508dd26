"""The examples of the README and of the six tasks, typed as they stand, on the demo's cells."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pandas as pd
import pytest

from cellmark.schemas.columns import CALL_COLUMNS, COARSE_COLUMNS
from cellmark.serving.http.settings import ServiceSettings
from cellmark.training.commands.demo_service import free_port
from cellmark.training.commands.run_demo import load_demo_cells
from fixtures.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
TASKS = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8")
SERVICE = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")


def examples(page: str) -> dict[str, str]:
    return dict(re.findall(r"<!-- test: (\w+) -->\n```\w+\n(.*?)```", page, flags=re.DOTALL))


pytestmark = pytest.mark.slow

FIRST = examples(README)
EXAMPLES = examples(TASKS)
SERVICE_EXAMPLES = examples(SERVICE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `make demo` leaves for the examples: cells to train on, and cells without labels."""
    folder = tmp_path_factory.mktemp("cellmark-demo")
    cells = load_demo_cells()
    cells.write_h5ad(folder / "pbmc68k.h5ad")
    new = cells[::5].copy()
    del new.obs["cell_type"]
    new.write_h5ad(folder / "test_cells.h5ad")
    return folder


def environment() -> dict[str, str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    kept = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    return {**kept, "PATH": path, "COLUMNS": "120"}


def shell(example: str, folder: Path) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example], cwd=folder, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def trained_folder(folder: Path) -> Path:
    shell(EXAMPLES["train"], folder)
    return folder


def test_train_registers_a_champion_and_keeps_a_bundle(trained_folder: Path) -> None:
    assert (trained_folder / "pbmc-bundle" / "manifest.json").is_file()
    assert "champion" in shell("cellmark models show pbmc", trained_folder)


def test_the_readme_is_short() -> None:
    assert len(README.split()) <= 700
    lines = [line for line in FIRST["python"].splitlines() if line]
    assert len(lines) <= 10
    assert README.index("\n- [") > README.index("## Read on")
    assert len(re.findall(r"^- \[", README, flags=re.MULTILINE)) == 6


def test_the_readmes_lines_of_python_run(folder: Path, tmp_path: Path) -> None:
    """In a folder without a registry: the model needs none."""
    for file in ("pbmc68k.h5ad", "test_cells.h5ad"):
        (tmp_path / file).symlink_to(folder / file)
    check = (
        "\nassert adata.obs['cellmark_cell_type'].notna().all()"
        "\nassert why.groupby('cell_id').size().tolist() == [5, 5, 5] and len(markers) == 10\n"
    )
    shell(f"python - <<'END'\n{FIRST['python']}{check}END", tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 10_000
    assert not (tmp_path / "mlflow.db").exists()


def test_the_readmes_two_commands_are_those_of_the_tasks() -> None:
    """They are typed there, the first with one option more; a training of its own would tell nothing new."""
    train, annotate = FIRST["commands"].splitlines()
    assert f"{train} --bundle pbmc-bundle" in EXAMPLES["train"].splitlines()
    assert annotate in EXAMPLES["annotate"].splitlines()


def test_annotate_writes_the_columns_that_the_page_lists(trained_folder: Path) -> None:
    shell(EXAMPLES["annotate"], trained_folder)
    calls = pd.read_csv(trained_folder / "calls.csv")
    assert list(calls.columns) == ["cell_id", *(column for column in CALL_COLUMNS if column not in COARSE_COLUMNS)]
    assert all(f"`{column}`" in TASKS for column in CALL_COLUMNS)
    labels = load_demo_cells().obs["cell_type"]
    # Most of these cells were trained on, so this only tells calls from chance (the largest type has a third).
    assert (labels[calls["cell_id"]].to_numpy() == calls["cellmark_cell_type"].to_numpy()).mean() > 0.7


def test_the_python_example_runs(trained_folder: Path) -> None:
    check = "\nassert len(calls) == adata.n_obs and len(why) == 15 and len(markers) == 10\n"
    shell(f"python - <<'END'\n{EXAMPLES['python']}{check}END", trained_folder)


def test_explain_writes_signed_genes(trained_folder: Path) -> None:
    shell(EXAMPLES["explain"], trained_folder)
    why = pd.read_csv(trained_folder / "why.csv")
    assert why.groupby("cell_id").size().max() == 5
    assert pd.read_csv(trained_folder / "why-not.csv")["against"].notna().all()


def test_report_is_written_from_the_registered_model(trained_folder: Path) -> None:
    shell(EXAMPLES["report"], trained_folder)
    page = (trained_folder / "report.html").read_text(encoding="utf-8")
    digest = json.loads((trained_folder / "pbmc-bundle" / "manifest.json").read_text())["bundle_digest"]
    assert digest in page
    assert "models:/pbmc/1" in page


def test_batch_writes_a_summary(trained_folder: Path) -> None:
    shell(EXAMPLES["batch"], trained_folder)
    assert list(pd.read_csv(trained_folder / "results" / "summary.csv")["status"]) == ["ok", "ok"]


@pytest.fixture(scope="module")
def port(trained_folder: Path) -> Iterator[int]:
    port = free_port()
    command = shlex.split(EXAMPLES["serve"].replace("3000", str(port)))
    with (trained_folder / "service.log").open("wb") as log:
        server = subprocess.Popen(command, cwd=trained_folder, env=environment(), stdout=log, stderr=subprocess.STDOUT)
        try:
            deadline = time.monotonic() + 120
            while time.monotonic() < deadline and server.poll() is None:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                        break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    time.sleep(0.3)
            yield port
        finally:
            server.terminate()
            server.wait(30)


def test_the_service_answers_the_questions_of_the_page(trained_folder: Path, port: int) -> None:
    answers = shell(EXAMPLES["ask"].replace("3000", str(port)), trained_folder)
    for word in ("cellmark_cell_type", "attribution", "gene_symbol", '"openapi"'):
        assert word in answers


def test_json_examples_are_answered_as_their_page_says(trained_folder: Path, port: int) -> None:
    refused = shell(SERVICE_EXAMPLES["json_cells"].replace("3000", str(port)), trained_folder)
    assert "TOO_FEW_GENES" in refused
    answered = json.loads(shell(SERVICE_EXAMPLES["json_genes"].replace("3000", str(port)), trained_folder))
    assert len(answered["cells"][0]["genes"]) == 5


def test_every_example_is_run() -> None:
    assert set(FIRST) == {"python", "commands"}
    assert set(EXAMPLES) == {"train", "annotate", "python", "explain", "report", "serve", "ask", "batch"}
    assert set(SERVICE_EXAMPLES) == {"json_cells", "json_genes"}


def test_every_setting_of_the_service_is_documented() -> None:
    for entry in fields(ServiceSettings):
        assert f"`CELLMARK_{entry.name.upper()}`" in SERVICE


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page.name}: {target}"
