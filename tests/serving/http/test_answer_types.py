"""Answers in every form that the header Accept may ask for, and compressed ones."""

import gzip
import io
import json
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import RequestError
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http.answer_types import ANSWERS, ARROW, CSV, HDF5, PARQUET, chosen_encoding, chosen_type

CALLS = "cellmark_cell_type"


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> TestClient:
    return TestClient(make_app(annotator))


@pytest.fixture(scope="module")
def expected(annotator: Annotator, new_cells: ad.AnnData) -> pd.DataFrame:
    return annotator.annotate(new_cells)


@pytest.fixture(scope="module")
def upload(new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("upload") / "cells.h5ad"
    new_cells.write_h5ad(path)
    return path


def csr(cells: ad.AnnData) -> dict[str, object]:
    X = sp.csr_matrix(cells.X)
    return {
        "genes": cells.var_names.tolist(), "cell_ids": cells.obs_names.tolist(), "indptr": X.indptr.tolist(),
        "indices": X.indices.tolist(), "data": X.data.tolist(),
    }  # fmt: skip


def read(content: bytes, media_type: str) -> tuple[pd.DataFrame, dict[str, object]]:
    if media_type == CSV:
        return pd.read_csv(io.BytesIO(content)), {}
    table = pq.read_table(io.BytesIO(content)) if media_type == PARQUET else pa.ipc.open_stream(content).read_all()
    return table.to_pandas(), json.loads(table.schema.metadata[b"cellmark"])


@pytest.mark.parametrize("media_type", [CSV, PARQUET, ARROW])
def test_calls_come_as_a_table(
    client: TestClient, new_cells: ad.AnnData, expected: pd.DataFrame, media_type: str
) -> None:
    answer = client.post("/annotate", json=csr(new_cells), headers={"Accept": media_type})
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].split(";")[0] == media_type
    table, facts = read(answer.content, media_type)
    assert table["cell_id"].tolist() == new_cells.obs_names.tolist()
    assert table[CALLS].astype(str).tolist() == expected[CALLS].astype(str).tolist()
    np.testing.assert_allclose(table["cellmark_confidence"], expected["cellmark_confidence"], rtol=1e-6)
    if facts:
        assert facts["n_cells"] == new_cells.n_obs
        assert facts["novelty_threshold"] == expected.attrs["cellmark"]["novelty_threshold"]


@pytest.mark.parametrize("media_type", [CSV, PARQUET, ARROW])
def test_explanations_come_as_a_table(
    client: TestClient, annotator: Annotator, new_cells: ad.AnnData, media_type: str
) -> None:
    answer = client.post("/attribute?top=3", json=csr(new_cells), headers={"Accept": media_type})
    assert answer.status_code == 200, answer.text
    table, _ = read(answer.content, media_type)
    told = annotator.explain(new_cells, top=3)
    assert table["gene"].tolist() == told["gene"].tolist()
    np.testing.assert_allclose(table["attribution"], told["attribution"], rtol=1e-5)


def test_a_copy_of_an_uploaded_file_has_the_calls_in_it(
    client: TestClient, upload: Path, expected: pd.DataFrame, tmp_path: Path
) -> None:
    with upload.open("rb") as file:
        answer = client.post("/annotate", files={"file": ("cells.h5ad", file)}, headers={"Accept": HDF5})
    assert answer.status_code == 200, answer.text
    (tmp_path / "calls.h5ad").write_bytes(answer.content)
    adata = ad.read_h5ad(tmp_path / "calls.h5ad")
    assert adata.obs[CALLS].astype(str).tolist() == expected[CALLS].astype(str).tolist()
    assert adata.uns["cellmark"]["n_cells"] == adata.n_obs
    original = ad.read_h5ad(upload)
    assert (sp.csr_matrix(adata.X) != sp.csr_matrix(original.X)).nnz == 0


def test_json_can_come_back_as_an_anndata(
    client: TestClient, new_cells: ad.AnnData, expected: pd.DataFrame, tmp_path: Path
) -> None:
    answer = client.post("/annotate", json=csr(new_cells), headers={"Accept": HDF5})
    (tmp_path / "calls.h5ad").write_bytes(answer.content)
    adata = ad.read_h5ad(tmp_path / "calls.h5ad")
    assert adata.obs[CALLS].astype(str).tolist() == expected[CALLS].astype(str).tolist()


def test_sparse_explanations_hold_all_attributions(
    client: TestClient, annotator: Annotator, new_cells: ad.AnnData
) -> None:
    question = {"layout": "csr", "target": annotator.cell_types[0]}
    told = client.post("/attribute", params=question, json=csr(new_cells)).json()
    X = sp.csr_matrix(
        (told["attributions"], told["indices"], told["indptr"]), shape=(new_cells.n_obs, len(told["genes"]))
    )
    target = told["cells"][0]["target"]
    frame = annotator.explain(new_cells, target=target, top=len(told["genes"]))
    assert X.nnz == len(frame)
    by_cell = frame.groupby("cell_id", sort=False)["attribution"].sum()
    np.testing.assert_allclose(
        np.asarray(X.sum(axis=1)).ravel(), by_cell.loc[new_cells.obs_names], rtol=1e-4, atol=1e-5
    )
    refused = client.post("/attribute?layout=csr", json=csr(new_cells), headers={"Accept": CSV})
    assert (refused.status_code, refused.json()["code"]) == (406, "NOT_ACCEPTABLE")


def test_a_form_that_is_not_there_is_refused(client: TestClient, new_cells: ad.AnnData) -> None:
    for path, accept in (("/annotate", "image/png"), ("/validate", CSV), ("/attribute", HDF5)):
        answer = client.post(path, json=csr(new_cells), headers={"Accept": accept})
        assert (answer.status_code, answer.json()["code"]) == (406, "NOT_ACCEPTABLE")


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_answers_and_bodies_may_be_compressed(
    client: TestClient, new_cells: ad.AnnData, expected: pd.DataFrame, encoding: str
) -> None:
    body = json.dumps(csr(new_cells)).encode()
    sent = gzip.compress(body) if encoding == "gzip" else pa.Codec("zstd").compress(body, asbytes=True)
    headers = {"Accept-Encoding": encoding, "Content-Encoding": encoding, "Content-Type": "application/json"}
    with client.stream("POST", "/annotate", content=sent, headers=headers) as answer:
        assert answer.status_code == 200
        raw = b"".join(answer.iter_raw())
        assert answer.headers["content-encoding"] == encoding
        assert "Accept-Encoding" in answer.headers["vary"]
    plain = (
        gzip.decompress(raw) if encoding == "gzip" else pa.CompressedInputStream(pa.BufferReader(raw), "zstd").read()
    )
    assert [row[CALLS] for row in json.loads(plain)["cells"]] == expected[CALLS].astype(str).tolist()
    broken = client.post("/annotate", content=sent[: len(sent) // 2], headers=headers)
    assert (broken.status_code, broken.json()["code"]) == (400, "REQUEST_INVALID")
    other = client.post("/annotate", content=sent, headers={**headers, "Content-Encoding": "br"})
    assert (other.status_code, other.json()["code"]) == (415, "MEDIA_TYPE_UNSUPPORTED")


def test_a_small_body_does_not_unpack_to_more_than_the_limit(annotator: Annotator) -> None:
    from cellmark.serving.http.settings import ServiceSettings

    client = TestClient(make_app(annotator, ServiceSettings(max_json_bytes=100_000)))
    bomb = gzip.compress(b" " * 10_000_000)
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    answer = client.post("/annotate", content=bomb, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize("layout", ["sparse", "dense"])
@pytest.mark.parametrize("kind", ["stream", "file"])
def test_cells_may_come_as_arrow(
    client: TestClient, new_cells: ad.AnnData, expected: pd.DataFrame, layout: str, kind: str
) -> None:
    X = sp.csr_matrix(new_cells.X)
    if layout == "sparse":
        rows = [slice(*X.indptr[i : i + 2]) for i in range(X.shape[0])]
        columns = {
            "cell_id": new_cells.obs_names.tolist(),
            "indices": [X.indices[row].tolist() for row in rows],
            "counts": [X.data[row].tolist() for row in rows],
        }
        table = pa.table(columns).replace_schema_metadata({"genes": json.dumps(new_cells.var_names.tolist())})
    else:
        table = pa.Table.from_pandas(new_cells.to_df())
    content = io.BytesIO()
    make = pa.ipc.new_stream if kind == "stream" else pa.ipc.new_file
    with make(content, table.schema) as writer:
        writer.write_table(table, max_chunksize=7)
    headers = {"Content-Type": f"application/vnd.apache.arrow.{kind}"}
    answer = client.post("/annotate", content=content.getvalue(), headers=headers)
    assert answer.status_code == 200, answer.text
    assert [row[CALLS] for row in answer.json()["cells"]] == expected[CALLS].astype(str).tolist()
    cut = client.post("/annotate", content=content.getvalue()[:400], headers=headers)
    assert cut.status_code in (400, 422)


def test_the_best_liked_form_is_chosen() -> None:
    assert chosen_type("", ANSWERS) == "application/json"
    assert chosen_type("*/*", ANSWERS) == "application/json"
    assert chosen_type("text/*", ANSWERS) == CSV
    assert chosen_type("application/json;q=0.5, text/csv", ANSWERS) == CSV
    assert chosen_type("text/csv;q=0, */*;q=0.1", (CSV, PARQUET)) == PARQUET
    assert chosen_type("application/*;q=0.2, application/vnd.apache.parquet", ANSWERS) == PARQUET
    with pytest.raises(RequestError, match="NOT_ACCEPTABLE"):
        chosen_type("image/png, */*;q=0", ANSWERS)
    assert chosen_encoding("gzip, zstd") == "zstd"
    assert chosen_encoding("gzip;q=1, zstd;q=0.5") == "gzip"
    assert chosen_encoding("") is None
    assert chosen_encoding("identity, gzip;q=0.5") is None
    assert chosen_encoding("*") == "zstd"
