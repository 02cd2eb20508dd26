"""`--json`: one document on standard output, with the keys that the manual lists."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CELL_TYPE, CONFIDENCE
from fixtures.manual import documented_keys

Cellmark = Callable[..., Any]


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_annotate(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "calls.csv", "--json")
    assert ran.status == 0
    document = json.loads(ran.out)
    assert set(document) == documented_keys("annotate")
    calls = pd.read_csv(tmp_path / "calls.csv")
    assert document["n_cells"] == len(calls)
    assert {row["cell_type"]: row["n_cells"] for row in document["cell_types"]} == dict(calls[CELL_TYPE].value_counts())
    for row in document["cell_types"]:
        expected = calls.loc[calls[CELL_TYPE] == row["cell_type"], CONFIDENCE].median()
        assert row["median_confidence"] == pytest.approx(expected, rel=1e-6)
    assert "median confidence" in ran.err, "what is for people goes to standard error"
    assert cellmark(*shlex.split(document["next"][0])[1:]).status == 0


def test_a_batch_of_which_one_input_is_refused(
    cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.h5ad").write_bytes(b"no cells")
    ran = cellmark("annotate", new_file, tmp_path / "broken.h5ad", "-m", tiny_bundle.folder, "-o", "calls/", "--json")
    assert ran.status == 1
    document = json.loads(ran.out)
    assert set(document) == documented_keys("annotate --out FOLDER")
    assert document["n_refused"] == 1
    assert sorted(row["status"] for row in document["inputs"]) == ["ok", "refused"]
    refused = next(row for row in document["inputs"] if row["status"] != "ok")
    assert refused["n_cells"] is None


def test_explain(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    ran = cellmark("explain", new_file, "-m", tiny_bundle.folder, "-o", tmp_path / "why.csv", "--top", 3, "--json")
    assert ran.status == 0
    document = json.loads(ran.out)
    assert set(document) == documented_keys("explain")
    rows = pd.read_csv(tmp_path / "why.csv")
    for one in document["targets"]:
        own = rows[rows["target"] == one["target"]]
        assert one["n_cells"] == own["cell_id"].nunique()
        first = one["genes"][0]
        of_gene = own[own["gene_symbol"] == first["gene_symbol"]]
        assert first["n_cells"] == len(of_gene)
        assert first["mean_attribution"] == pytest.approx(of_gene["attribution"].sum() / one["n_cells"])
        sizes = [abs(gene["mean_attribution"]) for gene in one["genes"]]
        assert sizes == sorted(sizes, reverse=True)


def test_markers(cellmark: Cellmark, tiny_bundle: Bundle) -> None:
    document = json.loads(cellmark("markers", "-m", tiny_bundle.folder, "--top", 2, "--json").out)
    assert set(document) == documented_keys("markers")
    assert document["kind"] == "positive"
    expected = tiny_bundle.markers.query("rank <= 2")["gene_symbol"]
    assert [row["gene_symbol"] for row in document["markers"]] == list(expected)


def test_report(cellmark: Cellmark, tiny_bundle: Bundle, tmp_path: Path) -> None:
    document = json.loads(cellmark("report", "-m", tiny_bundle.folder, "-o", "r.html", "--json").out)
    assert set(document) == documented_keys("report")
    assert document["bundle_digest"] == tiny_bundle.digest
    assert (tmp_path / document["output"]).is_file()


def test_a_refusal_is_a_document_too(cellmark: Cellmark, tiny_bundle: Bundle, tmp_path: Path) -> None:
    ran = cellmark("annotate", tmp_path / "none.h5ad", "-m", tiny_bundle.folder, "-o", "calls.csv", "--json")
    assert ran.status == 1
    (error,) = json.loads(ran.out)["errors"]
    assert error["code"] == "FILE_NOT_FOUND"
    assert "FILE_NOT_FOUND" in ran.err


def test_quiet_and_json_leave_the_document_alone(cellmark: Cellmark, tiny_bundle: Bundle, new_file: Path) -> None:
    ran = cellmark("annotate", new_file, "-m", tiny_bundle.folder, "-o", "calls.csv", "--json", "-q")
    assert json.loads(ran.out)["n_cells"] == 120
    assert ran.err == ""


def test_a_pipe_carries_the_document(tiny_bundle: Bundle) -> None:
    command = [sys.executable, "-m", "cellmark.serving.commands.cli", "markers", "-m", tiny_bundle.folder, "--json"]
    reader = [sys.executable, "-c", "import json, sys; print(json.load(sys.stdin)['model'])"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        read = subprocess.run(reader, stdin=writer.stdout, capture_output=True, text=True, check=True)
    assert read.stdout == "tiny\n"
