"""The Open Inference Protocol's routes: its tensors in, the annotator's calls out, everything else refused."""

import json
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import anndata as ad
import httpx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, RequestError
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http.oip_tensors import InferRequest, Wanted, read_request, write_response


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> Iterator[TestClient]:
    with TestClient(make_app(annotator), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(scope="module")
def rows(annotator: Annotator, new_cells: ad.AnnData) -> np.ndarray:
    """Counts of the panel's genes in its order, float32."""
    return new_cells[:20, list(annotator.bundle.panel.symbols)].X.toarray().astype(np.float32)


@pytest.fixture(scope="module")
def sizes(new_cells: ad.AnnData) -> np.ndarray:
    return np.asarray(new_cells[:20].X.sum(axis=1)).ravel()


@pytest.fixture(scope="module")
def expected(annotator: Annotator, new_cells: ad.AnnData) -> pd.DataFrame:
    return annotator.annotate(new_cells[:20].copy(), probabilities=True)


def tensor(name: str, values: np.ndarray, datatype: str = "FP32") -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.tolist()}


def path(annotator: Annotator, suffix: str = "/infer") -> str:
    return f"/v2/models/{annotator.source.name}{suffix}"


def outputs(response: httpx.Response) -> dict[str, np.ndarray]:
    assert response.status_code == 200, response.text
    return {one["name"]: np.array(one["data"]).reshape(one["shape"]) for one in response.json()["outputs"]}


def test_json_tensors_get_the_calls_of_the_annotator(
    client: TestClient, annotator: Annotator, rows: np.ndarray, sizes: np.ndarray, expected: pd.DataFrame
) -> None:
    body = {"id": "a-1", "inputs": [tensor("counts", rows), tensor("library_size", sizes)]}
    response = client.post(path(annotator), json=body)
    found = outputs(response)
    assert found["cell_type"].tolist() == expected["cellmark_cell_type"].tolist()
    assert found["best_cell_type"].tolist() == expected["cellmark_best_cell_type"].tolist()
    np.testing.assert_allclose(found["confidence"], expected["cellmark_confidence"], atol=1e-5)
    np.testing.assert_allclose(found["novelty"], expected["cellmark_novelty"], rtol=1e-4)
    columns = [f"probability:{name}" for name in annotator.cell_types]
    np.testing.assert_allclose(found["probabilities"], expected[columns], atol=1e-5)
    answer = response.json()
    assert (answer["id"], answer["model_name"]) == ("a-1", annotator.source.name)
    assert answer["parameters"]["bundle_digest"] == annotator.bundle.digest
    assert answer["parameters"]["library_size_source"] == "given"
    assert list(found) == [one["name"] for one in client.get(path(annotator, "")).json()["outputs"]]


def test_bytes_behind_the_json_are_read_and_sent(
    client: TestClient, annotator: Annotator, rows: np.ndarray, sizes: np.ndarray, expected: pd.DataFrame
) -> None:
    ids = b"".join(struct.pack("<I", 3) + b"c%02d" % number for number in range(20))
    data, depth = rows.tobytes(), sizes.astype("<f8").tobytes()

    def of_bytes(name: str, datatype: str, shape: list[int], body: bytes) -> dict[str, Any]:
        return {"name": name, "datatype": datatype, "shape": shape, "parameters": {"binary_data_size": len(body)}}

    head = json.dumps({
        "inputs": [
            of_bytes("counts", "FP32", [20, rows.shape[1]], data),
            of_bytes("library_size", "FP64", [20, 1], depth),
            of_bytes("cell_ids", "BYTES", [20], ids),
        ],
        "outputs": [
            {"name": "cell_type", "parameters": {"binary_data": True}},
            {"name": "confidence", "parameters": {"binary_data": True}},
            {"name": "novelty"},
        ],
    }).encode()  # fmt: skip
    headers = {"Inference-Header-Content-Length": str(len(head)), "Content-Type": "application/octet-stream"}
    response = client.post(path(annotator), content=head + data + depth + ids, headers=headers)
    assert response.status_code == 200, response.text
    length = int(response.headers["inference-header-content-length"])
    told = json.loads(response.content[:length])
    lengths = [one.get("parameters", {}).get("binary_data_size", 0) for one in told["outputs"]]
    assert length + sum(lengths) == len(response.content)
    confidence = np.frombuffer(response.content[length + lengths[0] :], dtype="<f4")
    np.testing.assert_allclose(confidence, expected["cellmark_confidence"], atol=1e-5)
    first = response.content[length + 4 : length + 4 + struct.unpack_from("<I", response.content, length)[0]]
    assert first.decode() == expected["cellmark_cell_type"].iloc[0]
    assert "data" in told["outputs"][2]


def test_metadata_and_health_are_those_of_the_protocol(client: TestClient, annotator: Annotator) -> None:
    for root in ("/v2", "/v2/"):
        answer = client.get(root, follow_redirects=False)
        assert answer.status_code == 200
        assert answer.json()["extensions"] == ["binary_tensor_data"]
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    metadata = client.get(path(annotator, "")).json()
    (version,) = metadata["versions"]
    assert version == annotator.bundle.digest[:12]
    assert client.get(path(annotator, f"/versions/{version}")).json() == metadata
    assert client.get(path(annotator, f"/versions/{version}/ready")).json()["ready"] is True
    assert metadata["inputs"][0] == {"name": "counts", "datatype": "FP32", "shape": [-1, len(annotator.bundle.panel)]}


@pytest.mark.parametrize(
    ("suffix", "status"), [("/versions/7", 404), ("/versions/7/ready", 404), ("x", 404), ("/nothing", 404)]
)
def test_what_is_not_served_is_a_problem_with_an_error(
    client: TestClient, annotator: Annotator, suffix: str, status: int
) -> None:
    answer = client.get(path(annotator, suffix))
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["error"] == answer.json()["detail"]
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_other_paths_keep_their_problems(client: TestClient) -> None:
    assert "error" not in client.get("/v3").json()


def test_rows_go_through_the_gate(client: TestClient, annotator: Annotator, rows: np.ndarray) -> None:
    def code(values: np.ndarray, **more: np.ndarray) -> str:
        inputs = [tensor("counts", values), *(tensor(name, one) for name, one in more.items())]
        data = json.dumps({"inputs": inputs}).replace("NaN", "1e999")
        answer = client.post(path(annotator), content=data, headers={"Content-Type": "application/json"})
        assert answer.json()["error"]
        return str(answer.json()["code"])

    assert code(rows - 1) == "COUNTS_NEGATIVE"
    assert code(rows * 0.5) == "COUNTS_NOT_WHOLE"
    assert code(rows * 0) == "CELL_EMPTY"
    assert code(rows[:0].reshape(0, rows.shape[1])) == "NO_CELLS"
    assert code(rows, library_size=rows.sum(axis=1) - 1) == "LIBRARY_SIZE_INVALID"
    assert code(rows[:, 1:]) == "REQUEST_INVALID"


def test_a_gene_that_is_nan_throughout_was_not_measured(
    annotator: Annotator, client: TestClient, rows: np.ndarray
) -> None:
    without = rows.copy()
    without[:, :3] = np.nan
    some = rows.copy()
    some[0, 0] = np.nan
    codes = []
    for values in (without, some):
        data = values.tobytes()
        shape = {"name": "counts", "datatype": "FP32", "shape": list(values.shape)}
        head = json.dumps({"inputs": [{**shape, "parameters": {"binary_data_size": len(data)}}]}).encode()
        headers = {"Inference-Header-Content-Length": str(len(head))}
        answer = client.post(path(annotator), content=head + data, headers=headers)
        codes.append("ok" if answer.status_code == 200 else answer.json()["code"])
    assert codes == ["ok", "COUNTS_NAN"]


def test_no_more_strings_are_made_than_the_shape_has() -> None:
    data = bytes(4 * 2_000_000)
    text = {"name": "cell_ids", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(data)}}
    head = json.dumps({"inputs": [text]}).encode()
    begun = time.process_time()
    with pytest.raises(RequestError, match="1 strings; found more"):
        read_request(head + data, len(head))
    assert time.process_time() - begun < 0.2, "two million strings take more than a second"


COUNTS = {"name": "counts", "datatype": "FP32", "shape": [1, 2], "data": [1, 2]}


@pytest.mark.parametrize(
    "body",
    [
        [], {}, {"inputs": {}}, {"inputs": [1]}, {"inputs": [COUNTS, COUNTS]},
        {"inputs": [{**COUNTS, "shape": [2, 2]}]},
        {"inputs": [{**COUNTS, "shape": [-1, 2]}]}, {"inputs": [{**COUNTS, "shape": [True, 2]}]},
        {"inputs": [{**COUNTS, "shape": [2**31]}]}, {"inputs": [{**COUNTS, "data": [[1], [1, 2]]}]},
        {"inputs": [{**COUNTS, "data": ["1", "2"]}]}, {"inputs": [{**COUNTS, "data": [True, False]}]},
        {"inputs": [{**COUNTS, "datatype": "FP99"}]}, {"inputs": [{**COUNTS, "datatype": "INT8", "data": [1, 300]}]},
        {"inputs": [{**COUNTS, "parameters": {"binary_data_size": 9}}]}, {"inputs": [COUNTS], "outputs": [{}]},
        {"inputs": [COUNTS], "id": 3}, {"inputs": [COUNTS], "parameters": {"binary_data_output": 1}},
        {"inputs": [COUNTS] * 17}, {"inputs": [{**COUNTS, "datatype": "BYTES"}]},
        {"inputs": [{**COUNTS, "name": None}]},
        {"inputs": [COUNTS], "outputs": [{"name": "logits"}, {"name": "logits"}]},
    ],
)  # fmt: skip
def test_a_body_of_another_form_is_refused(body: Any) -> None:
    with pytest.raises(CellmarkError) as caught:
        read_request(json.dumps(body).encode(), None)
    assert caught.value.code == "REQUEST_INVALID"


@pytest.mark.parametrize(
    "data",
    [
        b"[" + b"[]," * 690_000 + b"[]]", b"[" * 1_000_000 + b"]" * 1_000_000,
        b"[" + b",".join([b"9" * 390] * 5_000) + b"]", b"[" + b"{}," * 690_000 + b"{}]", b"[1e999]", b"[NaN]",
    ],
    ids=["lists", "levels", "digits", "objects", "infinite", "nan"],
)  # fmt: skip
def test_hostile_data_are_refused_before_they_become_objects(data: bytes) -> None:
    body = b'{"inputs":[{"name":"counts","datatype":"FP32","shape":[1,1],"data":' + data + b"}]}"
    started = time.process_time()
    with pytest.raises(RequestError, match="REQUEST_INVALID"):
        read_request(body, None)
    assert time.process_time() - started < 0.5
    with pytest.raises(RequestError, match="REQUEST_TOO_LARGE"):
        read_request(body + b" " * 2 * 1024**2, None)


def test_unknown_tensors_and_encodings_are_refused(client: TestClient, annotator: Annotator, rows: np.ndarray) -> None:
    counts = tensor("counts", rows)
    for body in ({"inputs": [counts, tensor("more", rows)]}, {"inputs": [counts], "outputs": [{"name": "more"}]}):
        assert client.post(path(annotator), json=body).json()["code"] == "REQUEST_INVALID"
    zipped = client.post(path(annotator), json={"inputs": [counts]}, headers={"Content-Encoding": "gzip"})
    assert zipped.json()["code"] == "MEDIA_TYPE_UNSUPPORTED"
    for length in ("x", "-1", "99999999"):
        headers = {"Inference-Header-Content-Length": length}
        answer = client.post(path(annotator), json={"inputs": [counts]}, headers=headers)
        assert answer.status_code in (400, 413)


@given(st.binary(max_size=60), st.integers(0, 70))
def test_any_bytes_are_read_or_refused(body: bytes, length: int) -> None:
    for header in (None, length):
        with suppress(RequestError):
            assert isinstance(read_request(body, header), InferRequest)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_texts_survive_the_way_there_and_back(texts: list[str]) -> None:
    values = np.array(texts, dtype=object)
    try:
        "".join(texts).encode()
    except UnicodeEncodeError:
        return
    body, length = write_response({}, [(Wanted("ids", True), "BYTES", values)])
    told = json.loads(body[:length])
    told["inputs"] = told.pop("outputs")
    head = json.dumps(told).encode()
    again = read_request(head + body[length:], len(head))
    assert again.inputs["ids"].tolist() == texts
