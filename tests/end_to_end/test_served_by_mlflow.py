"""The registered model answers without cellmark: in `mlflow.pyfunc`, `mlflow.onnx` and `mlflow models serve`."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator

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
by_pyfunc = mlflow.pyfunc.load_model("models:/tiny@champion").predict(given)
graph = mlflow.onnx.load_model("models:/tiny@champion").SerializeToString()
session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
by_onnx = session.run(["probabilities"], given)[0]
assert not {name for name in sys.modules if name.partition(".")[0] in ("cellmark", "torch")}
np.savez(sys.argv[2], by_pyfunc=by_pyfunc["probabilities"], by_onnx=by_onnx)
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
    subprocess.run(
        [sys.executable, "-c", PREDICT, str(tmp_path / "given.npz"), str(tmp_path / "answers.npz")],
        env=without_cellmark, cwd=tmp_path, check=True,
    )  # fmt: skip
    with np.load(tmp_path / "answers.npz") as answers:
        np.testing.assert_allclose(answers["by_pyfunc"], expected, atol=1e-6)
        np.testing.assert_allclose(answers["by_onnx"], expected, atol=1e-6)


def test_mlflow_models_serve_answers_as_the_annotator_does(
    registry: str,
    without_cellmark: dict[str, str],
    tensors: dict[str, np.ndarray],
    expected: np.ndarray,
    tmp_path: Path,
) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "mlflow",
        "models",
        "serve",
        "-m",
        "models:/tiny@champion",
        "--env-manager",
        "local",
    ]
    command += ["--host", "127.0.0.1", "--port", str(port)]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            command, env=without_cellmark, cwd=tmp_path, stdout=log, stderr=log, start_new_session=True
        )
        try:
            wait_for(f"http://127.0.0.1:{port}/ping", process, tmp_path / "log")
            body = json.dumps({"inputs": {name: values.tolist() for name, values in tensors.items()}}).encode()
            request = urllib.request.Request(
                f"http://127.0.0.1:{port}/invocations", body, {"Content-Type": "application/json"}
            )
            opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            answer = json.load(opener.open(request, timeout=60))
        finally:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=30)
    np.testing.assert_allclose(np.array(answer["predictions"]["probabilities"]), expected, atol=1e-6)


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
