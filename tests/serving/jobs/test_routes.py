"""The routes of jobs, asked within the test's own process, which runs the jobs too."""

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import httpx
import numpy as np
import pandas as pd
import pytest
from starlette.middleware import Middleware
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send

from cellmark.schemas.audit.receipt import Receipt
from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.context import context_of
from cellmark.serving.http.parts import ServiceParts
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.jobs.answers import JobAnswer, JobsAnswer
from cellmark.serving.jobs.document import DescribeJobs
from cellmark.serving.jobs.engine import JobEngine
from cellmark.serving.jobs.routes import job_routes, served_now
from cellmark.serving.jobs.settings import JobSettings

SETTINGS = ServiceSettings()


class Callers:
    """Who asks, by the header `X-Who`; `root` may do everything."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            who = next((value.decode() for name, value in scope["headers"] if name == b"x-who"), None)
            context = context_of(scope)
            context.key_id, context.scopes = who, frozenset({"admin"} if who == "root" else {"annotate"})
        await self.app(scope, receive, send)


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory, new_file: Path) -> Path:
    """The folder of inputs."""
    folder = tmp_path_factory.mktemp("root") / "inputs"
    (folder / "study").mkdir(parents=True)
    (folder / "study" / "new.h5ad").write_bytes(new_file.read_bytes())
    (folder.parent / "secret.h5ad").write_bytes(new_file.read_bytes())
    (folder / "link.h5ad").symlink_to(folder.parent / "secret.h5ad")
    (folder / "elsewhere").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.h5ad")
    return folder


@pytest.fixture(scope="module")
def engine(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobEngine]:
    from dbos import DBOS

    folder = tmp_path_factory.mktemp("jobs")
    settings = JobSettings(jobs=str(folder), jobs_root=str(root), jobs_shard_cells=50)
    engine = JobEngine(settings, SETTINGS, recover_seconds=0.1)
    engine.start()
    yield engine
    engine.stop()
    DBOS.destroy()


@pytest.fixture(scope="module")
def client(annotator: Annotator, engine: JobEngine) -> Iterator[TestClient]:
    parts = ServiceParts(
        middlewares=[Middleware(Callers)],
        routes=job_routes(engine, SETTINGS, served_now),
        documents=[DescribeJobs(SETTINGS)],
    )
    with TestClient(make_app(annotator, SETTINGS, parts), headers={"X-Who": "ann"}) as client:
        yield client


def ended(client: TestClient, answer: httpx.Response, who: str = "ann") -> dict[str, Any]:
    """The job of an answer, once it has ended."""
    assert answer.status_code in (200, 202), answer.text
    deadline = time.monotonic() + 60
    while True:
        job = client.get(answer.headers["location"], headers={"X-Who": who}).json()
        JobAnswer.model_validate(job)
        if job["state"] in ("done", "refused", "failed", "cancelled"):
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def send(client: TestClient, path: Path, url: str = "/jobs", **headers: str) -> httpx.Response:
    with path.open("rb") as file:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return client.post(url, files={"file": (path.name, file)}, headers=named)


def test_a_job_gives_the_calls_that_python_gives(
    client: TestClient, annotator: Annotator, new_cells: ad.AnnData, new_file: Path, tmp_path: Path, engine: JobEngine
) -> None:
    given = send(client, new_file, "/jobs?probabilities=true")
    assert given.status_code == 202
    job = ended(client, given)
    assert job["state"] == "done"
    assert job["n_cells"] == job["n_cells_done"] == new_cells.n_obs
    fetched = client.get(f"/jobs/{job['id']}/result")
    assert hashlib.sha256(fetched.content).hexdigest() == job["result"]["sha256"]
    assert len(fetched.content) == job["result"]["bytes"]
    path = tmp_path / "result.parquet"
    path.write_bytes(fetched.content)
    table = pd.read_parquet(path).set_index("cell_id")
    expected = annotator.annotate(new_cells, probabilities=True)
    for name in expected.columns:
        if pd.api.types.is_float_dtype(expected[name].dtype):
            # Sums of float32 over other numbers of cells at a time differ in the last digits.
            np.testing.assert_allclose(table[name], expected[name], rtol=1e-5, atol=1e-6)
        else:
            column = expected[name].astype(object).where(expected[name].notna(), None)
            assert table[name].astype(object).where(table[name].notna(), None).tolist() == column.tolist(), name
    receipt = Receipt.model_validate(job["receipt"])
    assert receipt.input_digest == hashlib.sha256(new_file.read_bytes()).hexdigest()
    assert json.loads(fetched.headers["x-cellmark-receipt"]) == job["receipt"]
    assert sorted(entry.name for entry in (engine.store.folder / job["id"]).iterdir()) == [
        "job.json", "manifest.json", "plan.json", "result.parquet",
    ]  # fmt: skip


def test_the_receipt_of_a_job_is_that_of_the_same_request(client: TestClient, new_file: Path) -> None:
    job = ended(client, send(client, new_file))
    with new_file.open("rb") as file:
        answer = client.post("/annotate", files={"file": file}).json()
    same = ("input_digest", "calls_digest", "bundle_digest", "options_digest", "route")
    assert {name: job["receipt"][name] for name in same} == {name: answer["receipt"][name] for name in same}


def test_a_job_is_reproduced_from_its_answer(
    client: TestClient, new_file: Path, tiny_bundle: Bundle, tmp_path: Path, cellmark: Callable[..., Any]
) -> None:
    answer = tmp_path / "job.json"
    answer.write_text(json.dumps(ended(client, send(client, new_file))))
    ran = cellmark("reproduce", answer, new_file, "--model", tiny_bundle.folder)
    assert ran.status == 0, ran.err
    assert "Reproduced: 120 cells" in ran.out


def test_a_file_below_the_root_is_taken(client: TestClient, new_file: Path) -> None:
    job = ended(client, client.post("/jobs?path=study/new.h5ad"))
    assert job["state"] == "done"
    assert job["input_digest"] == hashlib.sha256(new_file.read_bytes()).hexdigest()
    assert job["options"] == {}


@pytest.mark.parametrize(
    "path",
    ["../secret.h5ad", "/etc/passwd.h5ad", "link.h5ad", "elsewhere/secret.h5ad", "pipe.h5ad", "study", "none.h5ad",
     "study/new.txt", "", "a\0.h5ad", "study/../../secret.h5ad"],
)  # fmt: skip
def test_nothing_outside_the_root_is_read(path: str, client: TestClient, root: Path) -> None:
    refused = client.post("/jobs", params={"path": path})
    assert refused.status_code in (404, 422)
    assert str(root) not in refused.text


def test_each_key_has_its_own_jobs(client: TestClient, new_file: Path) -> None:
    job = ended(client, send(client, new_file))
    url = f"/jobs/{job['id']}"
    for who in ("bob", ""):
        other = {"X-Who": who}
        assert client.get(url, headers=other).json()["code"] == "JOB_UNKNOWN"
        assert client.get(f"{url}/result", headers=other).status_code == 404
        assert client.delete(url, headers=other).status_code == 404
        assert job["id"] not in [one["id"] for one in client.get("/jobs", headers=other).json()["jobs"]]
    listed = client.get("/jobs").json()
    JobsAnswer.model_validate(listed)
    assert listed["jobs"][0]["id"] == job["id"]
    assert client.get(url, headers={"X-Who": "root"}).json()["id"] == job["id"]
    assert job["id"] in [one["id"] for one in client.get("/jobs", headers={"X-Who": "root"}).json()["jobs"]]


def test_a_job_that_is_sent_twice_is_one(client: TestClient, new_file: Path, tiny_file: Path) -> None:
    first = send(client, new_file, Idempotency_Key="k1")
    again = send(client, new_file, Idempotency_Key="k1")
    assert (first.status_code, again.status_code) == (202, 200)
    assert first.json()["id"] == again.json()["id"]
    assert ended(client, again)["state"] == "done"
    assert send(client, tiny_file, Idempotency_Key="k1").json()["code"] == "IDEMPOTENCY_CONFLICT"
    assert send(client, new_file, "/jobs?probabilities=true", Idempotency_Key="k1").status_code == 409
    other = client.post("/jobs?path=study/new.h5ad", headers={"Idempotency-Key": "k1", "X-Who": "bob"})
    assert other.json()["id"] != first.json()["id"]
    assert client.post("/jobs?path=study/new.h5ad", headers={"Idempotency-Key": "a b"}).status_code == 400


def test_an_input_that_fails_a_check_is_refused_with_all_its_findings(client: TestClient) -> None:
    body = json.dumps({"cells": [{"cell_id": "a", "counts": {"MS4A1": 3}}]}).encode()
    job = ended(client, client.post("/jobs", content=body, headers={"content-type": "application/json"}))
    assert job["state"] == "refused"
    refused = client.get(f"/jobs/{job['id']}/result")
    assert refused.status_code == 422
    assert [one["code"] for one in refused.json()["findings"]] == [one["code"] for one in job["findings"]]


def test_json_of_another_form_is_refused_at_once(client: TestClient) -> None:
    for body in (b"", b'{"cells": [{"counts": 3}]}', b'{"genes": 1}'):
        refused = client.post("/jobs", content=body, headers={"content-type": "application/json"})
        assert (refused.status_code, refused.json()["code"]) == (400, "REQUEST_INVALID")


def test_a_refused_method_is_told_all_others(client: TestClient) -> None:
    assert set(client.put("/jobs").headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}
    assert set(client.post("/jobs/x").headers["allow"].split(", ")) == {"DELETE", "GET", "HEAD"}
    assert client.head("/jobs").status_code == 200


def test_a_cancelled_job_leaves_no_cells(client: TestClient, new_file: Path, engine: JobEngine) -> None:
    job = ended(client, send(client, new_file, Idempotency_Key="k2"))
    assert client.delete(f"/jobs/{job['id']}").json()["state"] == "cancelled"
    for answer in (client.get(f"/jobs/{job['id']}"), client.get(f"/jobs/{job['id']}/result")):
        assert (answer.status_code, answer.json()["code"]) == (404, "JOB_UNKNOWN")
    assert client.delete(f"/jobs/{job['id']}").status_code == 404
    assert job["id"] not in [one["id"] for one in client.get("/jobs").json()["jobs"]]
    assert send(client, new_file, Idempotency_Key="k2").json()["code"] == "JOB_CANCELLED"
    left = {entry.name for entry in (engine.store.folder / job["id"]).iterdir()}
    assert not left & {"input", "shards", "result.parquet"}


def test_options_are_checked_before_anything_is_kept(client: TestClient, new_file: Path, engine: JobEngine) -> None:
    before = set(os.listdir(engine.store.folder))
    assert send(client, new_file, "/jobs?label_set_error=0.5").json()["code"] == "PARAMETER_INVALID"
    assert send(client, new_file, "/jobs?colour=red").json()["code"] == "PARAMETER_INVALID"
    assert send(client, new_file, "/jobs?path=study/new.h5ad&probabilities=perhaps").status_code == 422
    assert set(os.listdir(engine.store.folder)) == before
    assert client.get("/jobs/" + "0" * 32).json()["code"] == "JOB_UNKNOWN"
    assert client.get("/jobs/..%2f..").status_code == 404


def test_no_row_of_the_queue_is_a_pickle(client: TestClient, new_file: Path, engine: JobEngine) -> None:
    import sqlite3

    ended(client, send(client, new_file))
    with sqlite3.connect(engine.settings.folder / "queue.db") as connection:
        kinds = connection.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall()
        steps = connection.execute("SELECT DISTINCT serialization FROM operation_outputs").fetchall()
    connection.close()
    assert {*kinds, *steps} <= {("portable_json",), (None,)}
    from dbos._serialization import DefaultSerializer

    with pytest.raises(ValueError, match="pickle"):
        DefaultSerializer().deserialize("gASVAAAAAAAAAAAu")


def test_an_upload_of_another_kind_is_refused_at_once(client: TestClient) -> None:
    for name in ("cells.json", "cells.csv"):
        answer = client.post("/jobs", files={"file": (name, b"{}")})
        assert (answer.status_code, answer.json()["code"]) == (415, "FILE_FORMAT_UNKNOWN")
