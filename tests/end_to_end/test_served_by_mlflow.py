"""The registered model in MLflow's own doors: gated where cellmark is installed, and as tensors without it."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from fixtures.places import ROOT

PAGE = (ROOT / "docs" / "mlflow.md").read_text(encoding="utf-8")

REFUSE_CELLMARK = """
import sys


class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "cellmark":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Refuse())
"""

PREDICT = """
import sys
import numpy as np

try:
    import cellmark.schemas
except ModuleNotFoundError:
    pass
else:
    sys.exit("cellmark can be imported here")
import mlflow
import onnxruntime

given = dict(np.load(sys.argv[1]))
by_pyfunc = mlflow.pyfunc.load_model("models:/tiny@champion/tensor").predict(given)
graph = mlflow.onnx.load_model("models:/tiny@champion").SerializeToString()
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
by_onnx = session.run(["probabilities"], given)[0]
assert not {name for name in sys.modules if name.partition(".")[0] in ("cellmark", "torch")}
np.savez(sys.argv[2], by_pyfunc=by_pyfunc["probabilities"], by_onnx=by_onnx)
try:
    mlflow.pyfunc.load_model("models:/tiny@champion")
except ModuleNotFoundError as error:
    print(error)
"""

GATED = """
import sys
import mlflow
import pandas as pd

counts = pd.read_parquet(sys.argv[1])
answer = mlflow.pyfunc.load_model("models:/tiny@champion").predict(counts)
assert not {"torch", "onnx", "optuna", "bentoml", "cellmark.training"} & set(sys.modules)
assert answer.attrs["cellmark"]["model_version"] == "1"
answer.to_parquet(sys.argv[2])
"""


@pytest.fixture
def without_cellmark(tmp_path: Path) -> dict[str, str]:
    """An environment in which Python does not find cellmark, however it is installed."""
    folder = tmp_path / "without"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(REFUSE_CELLMARK)
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(folder), "PATH": path, "no_proxy": "127.0.0.1"}


@pytest.fixture
def tensors(new_cells: ad.AnnData, tiny_bundle: Bundle) -> dict[str, np.ndarray]:
    """What MLflow's doors take: the panel's counts, in its order, and the sum over all genes."""
    counts = new_cells[:, list(tiny_bundle.panel.symbols)].X.toarray().astype(np.float32)
    return {"counts": counts, "library_size": np.asarray(new_cells.X.sum(axis=1)).astype(np.float32).reshape(-1, 1)}


@pytest.fixture
def expected(new_cells: ad.AnnData, tiny_bundle: Bundle) -> np.ndarray:
    """The annotator's own probabilities of the same cells, cells x types."""
    frame = Annotator.load(tiny_bundle.folder).annotate(new_cells, probabilities=True)
    names = [f"probability:{name}" for name in tiny_bundle.manifest.cell_type_names]
    probabilities = frame[names].to_numpy()
    assert 0.34 < probabilities.max(axis=1).min() < 0.99, "cells of which the answer could differ"
    return probabilities


def test_pyfunc_and_onnx_answer_as_the_annotator_does(
    registry: str,
    without_cellmark: dict[str, str],
    tensors: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    np.savez(tmp_path / "given.npz", **tensors)
    ran = subprocess.run(
        [sys.executable, "-c", PREDICT, str(tmp_path / "given.npz"), str(tmp_path / "answers.npz")],
        env=without_cellmark, cwd=tmp_path, check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert "pip install 'cellmark[cpu]'" in ran.stdout
    assert "models:/NAME@ALIAS/tensor" in ran.stdout
    with np.load(tmp_path / "answers.npz") as answers:
        np.testing.assert_allclose(answers["by_pyfunc"], expected, atol=1e-6)
        np.testing.assert_allclose(answers["by_onnx"], expected, atol=1e-6)


def test_the_model_itself_is_gated_and_needs_no_training_library(
    registry: str, new_cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    new_cells.to_df().to_parquet(tmp_path / "counts.parquet")
    subprocess.run(
        [sys.executable, "-c", GATED, str(tmp_path / "counts.parquet"), str(tmp_path / "calls.parquet")],
        cwd=tmp_path, check=True,
    )  # fmt: skip
    calls = pd.read_parquet(tmp_path / "calls.parquet")
    pd.testing.assert_frame_equal(calls, Annotator.load(tiny_bundle.folder).annotate(new_cells))


def test_mlflow_models_serve_takes_tensors_without_cellmark(
    registry: str,
    without_cellmark: dict[str, str],
    tensors: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    with served("models:/tiny@champion/tensor", without_cellmark, tmp_path) as ask:
        status, answer = ask({"inputs": {name: values.tolist() for name, values in tensors.items()}})
    assert status == 200
    np.testing.assert_allclose(np.array(answer["predictions"]["probabilities"]), expected, atol=1e-6)


def test_mlflow_models_serve_checks_cells_where_cellmark_is_installed(
    registry: str,
    new_cells: ad.AnnData,
    new_file: Path,
    tiny_bundle: Bundle,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    frame = new_cells.to_df()
    calls = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    with served("models:/tiny@champion", {**os.environ, "PATH": path}, tmp_path) as ask:
        for body in (
            {"dataframe_split": frame.to_dict(orient="split")},
            {"inputs": {"genes": list(frame), "counts": frame.to_numpy().tolist()}},
        ):
            status, answer = ask(body)
            assert status == 200
            assert [row["cellmark_cell_type"] for row in answer["predictions"]] == list(calls["cellmark_cell_type"])
            assert set(answer["predictions"][0]) == set(calls.columns)
        status, answer = ask({"dataframe_split": frame.iloc[:, :5].to_dict(orient="split")})
        assert status == 400
        assert "[TOO_FEW_GENES]" in answer["stack_trace"]
        status, answer = ask({"inputs": str(new_file)})
        assert status == 400
        assert "[REQUEST_INVALID]" in answer["stack_trace"], "no request has the server open its files"
        (example,) = re.findall(r"```python\n(import requests.*?)```", PAGE, flags=re.DOTALL)
        exec(example.replace("http://127.0.0.1:5001/invocations", ask.args[0]), {"counts": frame})
    assert capsys.readouterr().out.strip() == calls["cellmark_cell_type"].iloc[0]


@contextlib.contextmanager
def served(model: str, environment: dict[str, str], folder: Path) -> "Iterator[partial[tuple[int, Any]]]":
    """A running `mlflow models serve`, as a function of the body that gives status and answer."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", model, "--env-manager", "local"]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log, start_new_session=True)
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", process, folder / "log")
            yield partial(ask, f"http://127.0.0.1:{port}/invocations")
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)


def ask(address: str, body: object) -> tuple[int, Any]:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(address, json.dumps(body).encode(), {"Content-Type": "application/json"})
    try:
        answer = opener.open(request, timeout=60)
    except urllib.error.HTTPError as refused:
        answer = refused
    return answer.status, json.load(answer)


def wait_for(url: str, process: "subprocess.Popen[bytes]", log: Path) -> None:
    """Until a server answers; its log is told when it ended instead."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    for _ in range(240):
        try:
            opener.open(url, timeout=5).close()
        except (urllib.error.URLError, OSError):
            assert process.poll() is None, log.read_text()
            time.sleep(0.5)
        else:
            return
    raise AssertionError(log.read_text())
