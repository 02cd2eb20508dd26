"""The examples of docs/mlflow.md run as they stand there; `test_served_by_mlflow.py` has that of HTTP."""

import re
import sys
from pathlib import Path
from typing import Any

import anndata as ad
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8").replace("models:/pbmc@", "models:/tiny@")
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
OVER_HTTP, IN_SPARK = "import requests", "import SparkSession"


@pytest.fixture
def folder(registry: str, new_cells: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the files that the examples read."""
    frame = new_cells.to_df()
    frame.to_csv(tmp_path / "cells.csv")
    frame.rename_axis("cell_id").reset_index().to_parquet(tmp_path / "cells.parquet", index=False)
    new_cells.write_h5ad(tmp_path / "cells.h5ad")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(examples: list[str]) -> dict[str, Any]:
    space: dict[str, Any] = {}
    for example in examples:
        exec(example, space)
    return space


def test_both_forms_give_the_calls_of_annotate(folder: Path, new_cells: ad.AnnData, tiny_bundle: Bundle) -> None:
    space = run([example for example in EXAMPLES if OVER_HTTP not in example and IN_SPARK not in example])
    calls = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    assert list(space["calls"]["cellmark_cell_type"]) == list(calls["cellmark_cell_type"])
    assert space["best"] == list(calls["cellmark_best_cell_type"])


def test_spark_gives_the_calls_of_annotate(
    folder: Path, new_cells: ad.AnnData, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pyspark")
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    monkeypatch.setenv("PYSPARK_SUBMIT_ARGS", "--master local[1] --conf spark.ui.enabled=false pyspark-shell")
    monkeypatch.setenv("SPARK_LOCAL_IP", "127.0.0.1")
    space = run([example for example in EXAMPLES if IN_SPARK in example])
    found = space["calls"].toPandas().set_index("cell_id")
    space["spark"].stop()
    calls = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    assert list(found.index) == list(calls.index)
    assert list(found["cellmark_cell_type"]) == list(calls["cellmark_cell_type"])
