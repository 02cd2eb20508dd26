"""The service as people start it: `cellmark serve`, asked over real HTTP."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anndata as ad
import httpx
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CALL_COLUMNS
from cellmark.schemas.manifest.bundle_files import GOLDEN_CELLS, write_manifest
from cellmark.serving import Annotator, Client
from cellmark.serving.http.settings import ServiceSettings
from fixtures.places import ARCHIVES, ROOT

CELLMARK = [sys.executable, "-P", "-c", "from cellmark.serving.commands.cli import main; main()"]
START = [sys.executable, "-P", "-m", "cellmark.serving.http.start_server"]
SECONDS_TO_START = 90
MODULES = ("grp", "queue", "bentoml", "onnxruntime")
"""Names of files in the folder that the server is started from, which must not be taken for the modules."""


@dataclass(frozen=True)
class Server:
    """A running server. `folder`: all it may write to."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path
    log: Path

    def pids(self) -> list[int]:
        """The server's process and all below it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += [int(child) for child in task.read_text().split()]
        return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def clean_environment(folder: Path, **changes: str) -> dict[str, str]:
    """Neither settings of this shell nor a home that can be written to."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("CELLMARK_", "BENTOML", "MLFLOW"))
    }
    return {**kept, "TMPDIR": str(folder), "HOME": "/nonexistent", "OMP_NUM_THREADS": "1", **changes}


@contextmanager
def running(command: list[str], folder: Path, *, path: str, **environment: str) -> Iterator[Server]:
    """A server that answers `path` with 200; it is ended by SIGTERM and must then leave nothing behind."""
    port = free_port()
    temporary, elsewhere = folder / "tmp", folder / "elsewhere"
    temporary.mkdir()
    elsewhere.mkdir()
    for module in MODULES:
        (elsewhere / f"{module}.py").write_text("raise RuntimeError('a file of the working folder was imported')")
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--port", str(port)],
            cwd=elsewhere,
            env=clean_environment(temporary, **environment),
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    server = Server(f"http://127.0.0.1:{port}", process, temporary, log)
    pids: list[int] = []
    try:
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            try:
                if httpx.get(server.url + path, timeout=5).status_code == 200:
                    break
            except httpx.TransportError:
                pass
            time.sleep(0.2)
        yield server
        pids = server.pids()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) == 0
        assert list(temporary.iterdir()) == []
        assert len(list(elsewhere.iterdir())) == len(MODULES)
        assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
    finally:
        if process.poll() is None:  # the test failed: workers outlive a server that is killed, so each is ended
            for pid in reversed(server.pids()):
                os.kill(pid, signal.SIGKILL)
            process.wait()


@pytest.fixture(scope="module")
def server(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    command = [*CELLMARK, "serve", "--model", str(tiny_bundle.folder)]
    with running(command, tmp_path_factory.mktemp("server"), path="/readyz", CELLMARK_MAX_UPLOAD_BYTES="3000000") as it:
        yield it


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).annotate(new_cells)


@pytest.fixture(scope="module")
def bodies(new_cells: ad.AnnData, new_file: Path, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The same cells in four forms, as arguments of httpx."""
    X = new_cells.X
    csr = {"genes": new_cells.var_names.tolist(), "cell_ids": new_cells.obs_names.tolist(), "indptr": X.indptr.tolist(),
           "indices": X.indices.tolist(), "data": X.data.tolist()}  # fmt: skip
    cells = [
        {"cell_id": name, "counts": dict(zip(new_cells.var_names[X[row].indices], X[row].data.tolist(), strict=True))}
        for row, name in enumerate(new_cells.obs_names)
    ]
    npz = tmp_path_factory.mktemp("npz") / "new.npz"
    np.savez_compressed(npz, **{key: np.array(value) for key, value in csr.items()})
    return [
        {"json": {"genes": csr["genes"], "cells": cells}},
        {"json": csr},
        {"files": {"file": ("new.h5ad", new_file.read_bytes())}},
        {"content": npz.read_bytes(), "headers": {"Content-Type": "application/x-npz"}},
    ]


def assert_calls(response: httpx.Response, expected: pd.DataFrame) -> None:
    assert response.status_code == 200, response.text
    served = pd.DataFrame(response.json()["cells"]).set_index("cell_id")
    for column, of_calls in expected.reindex(columns=[*CALL_COLUMNS]).items():
        values = of_calls.astype(object).where(of_calls.notna(), None).tolist()
        if column == "cellmark_label_set":
            values = [text.split(" | ") for text in values]
        found = served[column].astype(object).where(served[column].notna(), None).tolist()
        # How many cells are computed at once changes the last digits of float32.
        assert found == (pytest.approx(values, abs=1e-5) if isinstance(values[0], float) else values)


def test_every_form_gives_the_calls_that_python_gives(
    server: Server, bodies: list[dict[str, Any]], expected: pd.DataFrame
) -> None:
    for body in bodies:
        assert_calls(httpx.post(server.url + "/annotate", timeout=60, **body), expected)


def test_the_client_gives_the_frame_that_python_gives(
    server: Server, tiny_bundle: Bundle, new_cells: ad.AnnData, new_file: Path
) -> None:
    annotator = Annotator.load(tiny_bundle.folder)
    with Client(server.url, cells_per_request=40, at_once=4) as client:
        for cells in (new_cells, new_file):
            frame = client.annotate(cells)
            pd.testing.assert_frame_equal(frame, annotator.annotate(cells), rtol=1e-4, atol=1e-5)
        genes = client.explain(new_cells[:5].copy(), top=3)
        pd.testing.assert_frame_equal(genes, annotator.explain(new_cells[:5].copy(), top=3), rtol=1e-3, atol=1e-5)


def test_eight_clients_at_once_all_get_the_right_answers(
    server: Server, bodies: list[dict[str, Any]], expected: pd.DataFrame
) -> None:
    def ask(number: int) -> None:
        with httpx.Client(base_url=server.url, timeout=120) as client:
            for turn in range(4):
                match (number + turn) % 6:
                    case 4:
                        assert client.get("/markers?top=1").status_code == 200
                    case 5:
                        rows = client.post("/attribute?top=2", **bodies[number % 4]).json()["cells"]
                        assert [row["cell_type"] for row in rows] == expected["cellmark_best_cell_type"].tolist()
                    case form:
                        assert_calls(client.post("/annotate", **bodies[form]), expected)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(8)))


def test_what_no_route_knows_is_a_problem_at_the_root_too(server: Server) -> None:
    for method, path, status, code in (
        ("GET", "/nowhere", 404, "ROUTE_UNKNOWN"),
        ("GET", "/static_content/nowhere.js", 404, "ROUTE_UNKNOWN"),
        ("POST", "/livez", 405, "METHOD_NOT_ALLOWED"),
        ("GET", "/annotate", 405, "METHOD_NOT_ALLOWED"),
        ("POST", "/annotate", 415, "MEDIA_TYPE_UNSUPPORTED"),
    ):
        response = httpx.request(method, server.url + path)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.headers["content-type"] == "application/problem+json"


def test_a_body_over_the_limit_is_refused_and_the_service_goes_on(
    server: Server, bodies: list[dict[str, Any]], expected: pd.DataFrame
) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(60):
            yield b" " * 65536

    headers = {"Content-Type": "application/x-hdf5"}
    for content in (b" " * 3_000_001, pieces()):
        response = httpx.post(server.url + "/annotate", content=content, headers=headers, timeout=60)
        assert (response.status_code, response.json()["code"]) == (413, "REQUEST_TOO_LARGE")
    assert_calls(httpx.post(server.url + "/annotate", timeout=60, **bodies[0]), expected)


def test_the_one_document_is_served_where_bentoml_would_serve_its_own(server: Server) -> None:
    document = httpx.get(server.url + "/openapi.json").json()
    assert httpx.get(server.url + "/docs.json").json() == document
    assert set(httpx.get(server.url + "/schema.json").json()["paths"]) <= set(document["paths"])


def test_the_page_needs_nothing_but_this_server(server: Server) -> None:
    page = httpx.get(server.url + "/").text
    assert "//" not in page.replace("<!--", "")
    for link in re.findall(r'(?:src|href)="([^"]+)"', page):
        if not link.startswith("data:"):
            assert httpx.get(f"{server.url}/{link}").status_code == 200, link


def test_the_server_says_that_it_lives_while_it_works(server: Server, bodies: list[dict[str, Any]]) -> None:
    # The first validation imports Great Expectations: the longest request that there is.
    answered: list[httpx.Response] = []
    request = threading.Thread(
        target=lambda: answered.append(httpx.post(server.url + "/validate", timeout=120, **bodies[2]))
    )
    request.start()
    n_alive = 0
    while request.is_alive():
        assert httpx.get(server.url + "/livez", timeout=10).status_code == 200
        n_alive += 1
        time.sleep(0.05)
    request.join()
    assert answered[0].json()["valid"] is True
    assert n_alive >= 10


def test_the_service_survives_a_file_that_makes_libhdf5_loop(
    server: Server, bodies: list[dict[str, Any]], expected: pd.DataFrame
) -> None:
    loops = (ARCHIVES / "damaged" / "loops.h5ad").read_bytes()
    answered: list[httpx.Response] = []

    def hand_in() -> None:
        files = {"file": ("loops.h5ad", loops)}
        answered.append(httpx.post(server.url + "/annotate", timeout=120, files=files))

    before = len(server.pids())
    requests = [threading.Thread(target=hand_in) for _ in range(2)]
    for request in requests:
        request.start()
    n_others = 0
    while any(request.is_alive() for request in requests):
        assert httpx.get(server.url + "/livez", timeout=10).status_code == 200
        assert_calls(httpx.post(server.url + "/annotate", timeout=60, **bodies[2]), expected)
        n_others += 1
    assert n_others >= 5
    for response in answered:
        assert (response.status_code, response.json()["code"]) == (422, "FILE_UNREADABLE")
        assert "had not finished" in response.json()["findings"][0]["found"]
        assert str(server.folder) not in response.text
    assert len(server.pids()) == before


def test_a_header_that_is_no_text_is_answered(server: Server, bodies: list[dict[str, Any]]) -> None:
    # BentoML's access log would decode it as UTF-8, and lose the answer.
    headers = {"Content-Type": b"application/octet-stream; charset=\xff"}
    response = httpx.post(server.url + "/annotate", content=bodies[3]["content"], headers=headers, timeout=60)
    assert response.status_code == 200


def test_requests_are_counted_and_logged_under_their_id(server: Server) -> None:
    answer = httpx.get(server.url + "/model", headers={"X-Request-ID": "for-this-test"})
    assert answer.headers["x-request-id"] == "for-this-test"
    page = httpx.get(server.url + "/metrics").text
    counted = re.search(r'^cellmark_requests_total\{route="/model",status="200"\} (\S+)$', page, re.MULTILINE)
    assert counted is not None
    assert float(counted[1]) >= 1
    assert re.search(r"^cellmark_model_info\{.*\} 1\.0$", page, re.MULTILINE)
    assert re.search(r"^cellmark_memory_bytes \S+$", page, re.MULTILINE)
    assert "GET /model 200" in next(line for line in server.log.read_text().splitlines() if "for-this-test" in line)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux says what a process has loaded")
def test_the_running_service_has_no_training_library_in_it(server: Server) -> None:
    pids = server.pids()
    assert len(pids) >= 2
    maps = "".join(Path(f"/proc/{pid}/maps").read_text() for pid in pids)
    assert "onnxruntime" in maps
    assert not re.findall(r"/(?:libtorch\S*|torch/\S+|onnx/\S+|sklearn/\S+|matplotlib/\S+)", maps)


COUNT_TIMERS = """
import asyncio, gc
from starlette.testclient import TestClient
from cellmark.serving.service import CellmarkService, served
with TestClient(CellmarkService.to_asgi(), base_url="http://127.0.0.1:3000") as client:
    for number in range(60):
        assert client.get("/model" if number % 2 else "/nowhere").status_code in (200, 404, 503)
    gc.collect()
    print(sum(isinstance(thing, asyncio.TimerHandle) for thing in gc.get_objects()))
"""


def test_nothing_is_kept_of_a_request_that_was_answered(tiny_bundle: Bundle, tmp_path: Path) -> None:
    # BentoML's time limit keeps a timer, with the request's whole context, until the limit has passed.
    environment = clean_environment(tmp_path, CELLMARK_MODEL=str(tiny_bundle.folder), BENTOML_HOME=str(tmp_path / "b"))
    counted = subprocess.run(
        [sys.executable, "-c", COUNT_TIMERS], env=environment, capture_output=True, text=True, timeout=120
    )
    assert counted.returncode == 0, counted.stderr
    assert int(counted.stdout.splitlines()[-1]) < 20


ASK = """
import json, sys
from starlette.testclient import TestClient
from cellmark.serving.service import CellmarkService, served
body = json.loads(sys.stdin.read())
with TestClient(CellmarkService.to_asgi(), base_url="http://127.0.0.1:3000") as client:
    while not served.is_ready:
        assert client.get("/readyz").status_code in (200, 503)
    assert client.get("/readyz").status_code == 200
    for path in ("/annotate", "/attribute"):
        assert client.post(path, json=body).status_code == 200
    for path in ("/model", "/markers", "/openapi.json"):
        assert client.get(path).status_code == 200
print(json.dumps(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_answering_imports_neither_training_nor_tracking_nor_expectations(
    tiny_bundle: Bundle, bodies: list[dict[str, Any]], tmp_path: Path
) -> None:
    answer = subprocess.run(
        [sys.executable, "-c", ASK],
        input=json.dumps(bodies[0]["json"]),
        env=clean_environment(tmp_path, CELLMARK_MODEL=str(tiny_bundle.folder), BENTOML_HOME=str(tmp_path / "bentoml")),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    loaded = set(json.loads(answer.stdout.splitlines()[-1]))
    assert {"bentoml", "onnxruntime"} <= loaded
    assert not loaded & {"torch", "onnx", "mlflow", "great_expectations", "scanpy", "sklearn", "optuna", "captum"}


@pytest.fixture(scope="module")
def changed_golden(tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with sound digests whose golden cells expect other numbers."""
    folder = tmp_path_factory.mktemp("golden") / "bundle"
    shutil.copytree(tiny_bundle.folder, folder)
    with np.load(folder / GOLDEN_CELLS) as arrays:
        changed = {key: arrays[key] for key in arrays.files}
    changed["probabilities"] = np.roll(changed["probabilities"], 1, axis=1)
    np.savez(folder / GOLDEN_CELLS, **changed)
    write_manifest(folder, json.loads((folder / "manifest.json").read_text()))
    return folder


def test_a_service_whose_model_fails_its_self_test_lives_and_never_gets_ready(
    changed_golden: Path, tmp_path: Path
) -> None:
    with running(START, tmp_path, path="/livez", CELLMARK_MODEL=str(changed_golden)) as server:
        codes: list[str] = []
        deadline = time.monotonic() + 30
        while "GOLDEN_CELLS_MISMATCH" not in codes:
            assert time.monotonic() < deadline, server.log.read_text()
            response = httpx.get(server.url + "/readyz")
            assert response.status_code == 503
            assert response.headers["content-type"] == "application/problem+json"
            codes = [finding["code"] for finding in response.json()["findings"]]
            assert codes[0] == "SERVICE_NOT_READY"
        assert httpx.get(server.url + "/livez").status_code == 200
        assert httpx.get(server.url + "/model").status_code == 503


def refused(*options: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*CELLMARK, "serve", *options],
        cwd=folder,
        env=clean_environment(folder, **environment),
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_a_model_that_cannot_be_served_is_refused_before_anything_starts(
    changed_golden: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    good = str(tiny_bundle.folder)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        cases = {
            "MODEL_UNKNOWN": refused("--model", "nowhere", folder=tmp_path),
            "GOLDEN_CELLS_MISMATCH": refused("--model", str(changed_golden), folder=tmp_path),
            "SERVICE_FAILED": refused("--model", good, "--port", str(taken.getsockname()[1]), folder=tmp_path),
            "PARAMETER_INVALID": refused("--model", good, folder=tmp_path, CELLMARK_CONCURRENCY="many"),
        }
    for code, answer in cases.items():
        assert answer.returncode == 1
        assert f"[{code}]" in answer.stderr
        assert "Traceback" not in answer.stderr
        assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_registered_model_is_fetched_once_and_served_under_its_name_and_version(
    registry: str, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    command = [*CELLMARK, "serve", "--model", "models:/tiny@champion"]
    folder = tmp_path / "server"
    folder.mkdir()
    store = {"MLFLOW_TRACKING_URI": registry, "CELLMARK_CACHE": str(tmp_path / "cache")}
    with running(command, folder, path="/readyz", **store) as server:
        answer = httpx.get(server.url + "/model").json()
        assert (answer["model"], answer["model_version"]) == ("tiny", "1")
        assert answer["bundle_digest"] == tiny_bundle.digest
        # The process that asked the registry is gone: the server and its workers were told a folder.
        for pid in server.pids():
            environment = Path(f"/proc/{pid}/environ").read_bytes().decode()
            (model,) = re.findall(r"CELLMARK_MODEL=([^\0]*)", environment)
            assert (Path(model) / "manifest.json").is_file()


def test_every_setting_stands_in_the_docs() -> None:
    page = (ROOT / "docs" / "service.md").read_text(encoding="utf-8")
    for name in ServiceSettings().to_environment():
        assert f"| `{name}` |" in page


def test_settings_survive_the_way_through_the_environment() -> None:
    settings = ServiceSettings(model="a", model_version="3", workers=2, max_json_bytes=5)
    assert ServiceSettings.from_environment(settings.to_environment()) == settings
    assert ServiceSettings.from_environment({}) == ServiceSettings()
