"""An answer is found again from its receipt and its input; one that was changed is not."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from fixtures.places import ARCHIVES

Cellmark = Callable[..., Any]


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> TestClient:
    return TestClient(make_app(annotator))


@pytest.fixture
def body(annotator: Annotator, tmp_path: Path) -> Path:
    genes = list(annotator.bundle.panel.symbols)
    generator = np.random.default_rng(7)
    counts = [{gene: int(generator.poisson(5)) for gene in genes} for _ in range(4)]
    cells = [{"cell_id": f"c{number}", "counts": cell, "library_size": 9000} for number, cell in enumerate(counts)]
    path = tmp_path / "body.json"
    path.write_text(json.dumps({"genes": genes, "cells": cells}))
    return path


def saved(client: TestClient, url: str, body: Path, tmp_path: Path) -> Path:
    answer = client.post(url, content=body.read_bytes(), headers={"content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    path = tmp_path / "answer.json"
    path.write_bytes(answer.content)
    return path


@pytest.mark.parametrize(
    "url", ["/annotate", "/annotate?probabilities=true", "/map?rows=true", "/attribute?top=3&against=second"]
)
def test_an_answer_is_reproduced(
    url: str, client: TestClient, body: Path, tmp_path: Path, tiny_bundle: Bundle, cellmark: Cellmark
) -> None:
    answer = saved(client, url, body, tmp_path)
    ran = cellmark("reproduce", answer, body, "--model", tiny_bundle.folder)
    assert ran.status == 0, ran.err
    assert "Reproduced: 4 cells" in ran.out
    assert "Largest difference between two numbers: 0" in ran.out


def test_a_receipt_alone_is_enough(
    client: TestClient, body: Path, tmp_path: Path, tiny_bundle: Bundle, cellmark: Cellmark
) -> None:
    answer = saved(client, "/annotate", body, tmp_path)
    receipt = tmp_path / "receipt.json"
    receipt.write_text(json.dumps(json.loads(answer.read_text())["receipt"]))
    ran = cellmark("reproduce", receipt, body, "--model", tiny_bundle.folder)
    assert (ran.status, "Largest" in ran.out) == (0, False)


def test_what_was_changed_shows(
    client: TestClient, body: Path, tmp_path: Path, tiny_bundle: Bundle, cellmark: Cellmark
) -> None:
    answer = saved(client, "/annotate", body, tmp_path)
    given = json.loads(answer.read_text())
    given["cells"][2]["cellmark_confidence"] += 0.01
    answer.write_text(json.dumps(given))
    ran = cellmark("reproduce", answer, body, "--model", tiny_bundle.folder)
    assert ran.status == 1
    assert "ANSWER_NOT_REPRODUCED" in ran.err
    assert "cells[2].cellmark_confidence" in ran.err
    given["receipt"]["calls_digest"] = "0" * 64
    answer.write_text(json.dumps(given["receipt"]))
    assert "ANSWER_NOT_REPRODUCED" in cellmark("reproduce", answer, body, "--model", tiny_bundle.folder).err


def test_a_receipt_that_cannot_be_asked_again_says_why(
    client: TestClient, body: Path, tmp_path: Path, tiny_bundle: Bundle, cellmark: Cellmark
) -> None:
    answer = saved(client, "/annotate", body, tmp_path)
    receipt = json.loads(answer.read_text())["receipt"]
    for change in ({"route": "/v2/models/tiny/infer"}, {"calls_digest": None}):
        answer.write_text(json.dumps(receipt | change))
        assert "RECEIPT_INVALID" in cellmark("reproduce", answer, body, "--model", tiny_bundle.folder).err


def test_another_input_or_model_is_refused_before_anything_is_computed(
    client: TestClient, body: Path, tmp_path: Path, tiny_bundle: Bundle, cellmark: Cellmark
) -> None:
    answer = saved(client, "/annotate", body, tmp_path)
    other = tmp_path / "other.json"
    other.write_text(body.read_text() + " ")
    assert "RECEIPT_OTHER_INPUT" in cellmark("reproduce", answer, other, "--model", tiny_bundle.folder).err
    assert "BUNDLE_DIGEST_MISMATCH" in cellmark("reproduce", answer, body, "--model", ARCHIVES / "v1").err
    assert "--model" in cellmark("reproduce", answer, body).err
    assert "FILE_NOT_FOUND" in cellmark("reproduce", answer, tmp_path / "none", "--model", tiny_bundle.folder).err


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"receipt": {"id": "x"}}', '{"cells": []}'])
def test_what_is_no_receipt_is_refused(text: str, body: Path, tmp_path: Path, cellmark: Cellmark) -> None:
    answer = tmp_path / "answer.json"
    answer.write_text(text)
    assert "RECEIPT_INVALID" in cellmark("reproduce", answer, body).err
