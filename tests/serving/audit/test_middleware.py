"""Every request that does something has its row before its answer is sent; none of its contents is in it."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.testclient import TestClient

from cellmark.schemas.audit.audit_log import open_audit_log
from cellmark.schemas.audit.chain import Head, check_chain
from cellmark.schemas.audit.receipt import Receipt, calls_digest, options_digest
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RequestError
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.audit.group_commit import GroupCommit
from cellmark.serving.audit.middleware import AuditMiddleware, is_recorded
from cellmark.serving.context import context_of
from cellmark.serving.http.parts import ServiceParts


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "audit.db"


@pytest.fixture
def client(annotator: Annotator, log: Path) -> Iterator[TestClient]:
    writer = GroupCommit(lambda: open_audit_log(str(log), create=True), retry_seconds=0.01)
    parts = ServiceParts(middlewares=[Middleware(AuditMiddleware, writer=writer)])
    with TestClient(make_app(annotator, parts=parts), raise_server_exceptions=False) as client:
        yield client
    writer.stop()


def body_of(annotator: Annotator, n_cells: int = 3) -> bytes:
    genes = list(annotator.bundle.panel.symbols)
    generator = np.random.default_rng(7)
    cells = [
        {
            "cell_id": f"AAACPATIENT-{number}",
            "counts": {gene: int(generator.poisson(5)) for gene in genes},
            "library_size": 9000,
        }
        for number in range(n_cells)
    ]
    return json.dumps({"genes": genes, "cells": cells}).encode()


def rows(log: Path) -> list[dict[str, Any]]:
    with open_audit_log(str(log)) as opened:
        found = list(opened.rows())
        assert check_chain(found, opened.log_id).findings == ()
    return [json.loads(row.body) for row in found]


JSON = {"content-type": "application/json"}


def test_an_answer_has_a_receipt_and_its_row(client: TestClient, annotator: Annotator, log: Path) -> None:
    body = body_of(annotator)
    answer = client.post("/annotate?probabilities=true&label_set_error=0.05", content=body, headers=JSON)
    given = answer.json()
    receipt = Receipt.model_validate(given["receipt"])
    assert receipt.input_digest == hashlib.sha256(body).hexdigest()
    assert receipt.options == {"label_set_error": "0.05", "probabilities": "true"}
    assert (
        receipt.options_digest
        == hashlib.sha256(b'{"label_set_error":"0.05","probabilities":"true"}').hexdigest()
        == options_digest(receipt.options)
    )
    codes = [[*annotator.cell_types, "unassigned"].index(cell["cellmark_cell_type"]) for cell in given["cells"]]
    codes = [-1 if code == len(annotator.cell_types) else code for code in codes]
    assert receipt.calls_digest == hashlib.sha256(np.array(codes, "<i4").tobytes()).hexdigest()
    (row,) = rows(log)
    assert row == {
        "time": receipt.time,
        "action": "POST /annotate",
        "verdict": "ok",
        "request_id": row["request_id"],
        "receipt": receipt.id,
        "model": given["model"],
        "bundle_digest": given["bundle_digest"],
        "input_digest": receipt.input_digest,
        "options_digest": receipt.options_digest,
        "calls_digest": receipt.calls_digest,
        "service": receipt.service_version,
        "n_cells": 3,
    }
    with open_audit_log(str(log)) as opened:
        assert Head.parse(answer.headers["x-cellmark-audit"]) == opened.head()
    text = log.read_bytes() + log.with_name("audit.db-wal").read_bytes()
    assert b"PATIENT" not in text
    assert annotator.bundle.panel.symbols[0].encode() not in text


def test_an_explanation_has_a_receipt_of_the_best_types(client: TestClient, annotator: Annotator, log: Path) -> None:
    given = client.post("/attribute?top=2", content=body_of(annotator), headers=JSON).json()
    codes = np.array([annotator.cell_types.index(cell["cell_type"]) for cell in given["cells"]])
    assert given["receipt"]["calls_digest"] == calls_digest(codes)
    assert given["receipt"]["route"] == "/attribute"
    assert rows(log)[0]["action"] == "POST /attribute"


def test_a_refusal_has_its_row_too(client: TestClient, log: Path) -> None:
    assert client.post("/annotate", content=b'{"cells": []}', headers=JSON).status_code == 422
    assert client.post("/annotate?colour=red", content=b"{}", headers=JSON).json()["code"] == "PARAMETER_INVALID"
    assert client.post("/nowhere/of-a-patient").status_code == 404
    first, second, third = rows(log)
    assert first["verdict"] == "NO_CELLS"
    assert first["input_digest"] == hashlib.sha256(b'{"cells": []}').hexdigest()
    assert "receipt" not in first
    assert second["verdict"] == "PARAMETER_INVALID"
    assert third["action"] == "POST (no route)"


def test_what_only_looks_has_no_row(client: TestClient, log: Path) -> None:
    assert client.get("/model").status_code == 200
    assert "x-cellmark-audit" not in client.get("/model").headers
    assert not log.exists()
    assert is_recorded("POST", "/annotate")
    assert is_recorded("DELETE", "/jobs/1")
    assert is_recorded("GET", "/jobs/1/result")
    assert not is_recorded("GET", "/jobs/1")


def test_nothing_is_answered_that_could_not_be_recorded(
    annotator: Annotator, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = GroupCommit(lambda: open_audit_log(str(log)), retry_seconds=3600)
    parts = ServiceParts(middlewares=[Middleware(AuditMiddleware, writer=writer)])
    with TestClient(make_app(annotator, parts=parts)) as client:
        body = body_of(annotator)
        for _ in range(2):  # the second is not even computed
            refused = client.post("/annotate", content=body, headers=JSON)
            assert (refused.status_code, refused.json()["code"]) == (503, "AUDIT_UNAVAILABLE")
            assert refused.headers["retry-after"] == "5"
            assert "cells" not in refused.json()
        assert client.get("/model").status_code == 200
    writer.stop()


def test_a_fault_of_the_service_has_a_row(client: TestClient, log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("on purpose")

    monkeypatch.setattr("cellmark.serving.http.answers.annotate", fail)
    answer = client.post("/annotate", content=b'{"cells": [{"cell_id": "a", "counts": {"MS4A1": 1}}]}', headers=JSON)
    assert answer.status_code == 500
    assert [row["verdict"] for row in rows(log)] == ["INTERNAL_ERROR"]


def test_without_a_log_there_are_receipts_all_the_same(annotator: Annotator) -> None:
    parts = ServiceParts(middlewares=[Middleware(AuditMiddleware)])
    with TestClient(make_app(annotator, parts=parts)) as client:
        answer = client.post("/annotate", content=body_of(annotator), headers=JSON)
    Receipt.model_validate(answer.json()["receipt"])
    assert "x-cellmark-audit" not in answer.headers
    assert "x-cellmark-receipt" not in answer.headers


def test_an_answer_that_is_not_json_has_its_receipt_in_a_header(annotator: Annotator) -> None:
    given: dict[str, Any] = {}

    def table(request: Request) -> Response:
        context_of(request.scope).extra["receipt"] = given
        return Response("cell_id\n", media_type="text/csv")

    parts = ServiceParts(middlewares=[Middleware(AuditMiddleware)], routes=[Route("/table", table)])
    with TestClient(make_app(annotator, parts=parts)) as client:
        given |= client.post("/annotate", content=body_of(annotator), headers=JSON).json()["receipt"]
        answer = client.get("/table")
    assert Receipt.model_validate_json(answer.headers["x-cellmark-receipt"]).id == given["id"]


def test_a_form_is_known_by_its_file(client: TestClient, new_file: Path) -> None:
    with new_file.open("rb") as file:
        given = client.post("/annotate", files={"file": file}).json()
    assert given.get("receipt", {}).get("input_digest") == hashlib.sha256(new_file.read_bytes()).hexdigest()


def test_a_compressed_body_is_known_by_what_it_unpacks_to(client: TestClient, annotator: Annotator) -> None:
    body = body_of(annotator)
    plain = client.post("/annotate", content=body, headers=JSON).json()["receipt"]
    packed = client.post("/annotate", content=gzip.compress(body), headers={**JSON, "content-encoding": "gzip"})
    assert packed.json()["receipt"]["input_digest"] == plain["input_digest"] == hashlib.sha256(body).hexdigest()


def test_an_unsigned_message_of_anybody_has_no_row(annotator: Annotator, log: Path) -> None:
    async def webhook(request: Request) -> Response:
        raise RequestError.of("WEBHOOK_UNSIGNED", where="a", expected="b", found="c", remedy="d")

    writer = GroupCommit(lambda: open_audit_log(str(log), create=True), retry_seconds=0.01)
    parts = ServiceParts(
        middlewares=[Middleware(AuditMiddleware, writer=writer)], routes=[Route("/hook", webhook, methods=["POST"])]
    )
    with TestClient(make_app(annotator, parts=parts)) as client:
        assert client.post("/hook").status_code == 403
        assert client.post("/annotate", content=b"{", headers=JSON).status_code == 400
    writer.stop()
    assert [row["action"] for row in rows(log)] == ["POST /annotate"]
