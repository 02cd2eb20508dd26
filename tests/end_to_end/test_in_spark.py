"""The page's own program in a local Spark: what a registered model says of a Parquet of cells."""

import os
import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from fixtures.places import ROOT

pytestmark = [pytest.mark.spark, pytest.mark.slow, pytest.mark.timeout(600)]

PAGE = (ROOT / "docs" / "engines.md").read_text(encoding="utf-8")
REFUSED = """
others = cells.select(
    mlflow.pyfunc.spark_udf(spark, "models:/tiny@champion", env_manager="local", params={"genes": "[\\"A1BG\\"]"})(
        struct("cell_id", "indices", "counts")
    ).alias("call")
)
try:
    others.collect()
except Exception as error:
    print("REFUSED", error)
spark.stop()
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A Spark session with two tasks, in processes of this machine."""
    if not find_spec("pyspark"):
        pytest.skip("pyspark is not installed (extra spark)")
    if not shutil.which("java") and "JAVA_HOME" not in os.environ:
        pytest.skip("Java is not on this machine")
    options = "--master local[2] --conf spark.ui.enabled=false"
    return {
        **os.environ,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": f"{options} pyspark-shell",
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_DIRS": str(tmp_path / "spark"),
    }


def test_the_program_of_the_page_makes_the_calls_of_annotate(
    registry: str, environment: dict[str, str], new_file: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    (program,) = [text for text in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "SparkSession" in text]
    program = program.replace("models:/pbmc@champion", "models:/tiny@champion").replace(", 2000)", ", 50)")
    command = [str(Path(sys.executable).parent / "cellmark"), "to-parquet", str(new_file), "-o", "cells.parquet"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    ran = subprocess.run(
        [sys.executable, "-c", program + REFUSED],
        env=environment,
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    calls = pd.read_parquet(tmp_path / "calls").set_index("cell_id")
    expected = Annotator.load(tiny_bundle.folder).annotate(ad.read_h5ad(new_file))
    assert len(calls) == len(expected) > 50, "in several batches"
    for name, values in expected.items():
        pd.testing.assert_series_equal(
            calls.loc[expected.index, name], values.astype(calls[name].dtype), obj=name, check_exact=True
        )
    assert "MATRIX_INVALID" in ran.stdout.partition("REFUSED")[2]
