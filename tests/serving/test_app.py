"""The service's routes, asked within the test's own process; every answer is held to the OpenAPI document."""

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import anndata as ad
import anyio.to_thread
import h5py
import httpx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from jsonschema import Draft202012Validator
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CALL_COLUMNS
from cellmark.schemas.errors import BundleError, Finding
from cellmark.schemas.manifest.bundle_files import write_manifest
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http import answers, quick_bodies, rows
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.options import AnnotateOptions
from cellmark.serving.http.problems import problem, without_path
from cellmark.serving.http.served_model import ServedModel
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.reader.reader_server import reader_server
from cellmark.serving.versions.loading import Loading
from cellmark.serving.versions.version_record import ServedVersion
from fixtures.places import ARCHIVES

PROBLEM = "application/problem+json"
SETTINGS = ServiceSettings(max_upload_bytes=2_000_000, max_json_bytes=1_000_000, max_unpacked_bytes=3_000_000)
DOCUMENT = openapi_document(SETTINGS)


class CheckedClient(TestClient):
    """A client that fails the test when an answer is none that the OpenAPI document promises."""

    def request(self, method: str, url: Any, **options: Any) -> httpx.Response:  # type: ignore[override]
        response = super().request(method, url, **options)
        operation = DOCUMENT["paths"].get(response.request.url.path, {}).get(method.lower())
        if operation is None:
            assert response.status_code in (404, 405)
            schema = {"$ref": "#/components/schemas/Problem"}
        else:
            documented = operation["responses"][str(response.status_code)]
            kind = response.headers["content-type"].split(";")[0]
            schema = documented["content"][kind]["schema"]
            if kind == PROBLEM:
                assert response.json()["code"] in documented["description"]
        if "json" in response.headers["content-type"]:
            value = json.loads(response.content, parse_constant=lambda name: pytest.fail(f"{name} in an answer"))
            Draft202012Validator({**schema, "components": DOCUMENT["components"]}).validate(value)
        return response


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def client(annotator: Annotator) -> Iterator[CheckedClient]:
    with CheckedClient(make_app(annotator, SETTINGS), raise_server_exceptions=False) as client:
        yield client


@pytest.fixture(autouse=True)
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where uploads are put during a test; nothing may be left there."""
    folder = tmp_path / "uploads"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert list(folder.iterdir()) == []
    assert reader_server().readers() == []


def cells_json(adata: ad.AnnData, *, genes: bool = True, library_size: list[float] | None = None) -> dict[str, Any]:
    names = adata.var_names
    cells = []
    for number, cell_id in enumerate(adata.obs_names):
        row = adata.X[number]
        counts = dict(zip(names[row.indices], row.data.tolist(), strict=True))
        cells.append({"cell_id": cell_id, "counts": counts})
        if library_size is not None:
            cells[-1]["library_size"] = library_size[number]
    return {"genes": names.tolist(), "cells": cells} if genes else {"cells": cells}


def csr_json(adata: ad.AnnData) -> dict[str, Any]:
    return {
        "genes": adata.var_names.tolist(),
        "cell_ids": adata.obs_names.tolist(),
        "indptr": adata.X.indptr.tolist(),
        "indices": adata.X.indices.tolist(),
        "data": adata.X.data.tolist(),
    }


def write_npz(adata: ad.AnnData, path: Path) -> None:
    np.savez_compressed(path, **{key: np.array(value) for key, value in csr_json(adata).items()})


def write_tenx(adata: ad.AnnData, path: Path) -> None:
    """As Cell Ranger 3 writes it: genes x cells in CSC form, that is the CSR form of cells x genes."""
    X = sp.csr_matrix(adata.X)
    with h5py.File(path, "w") as file:
        matrix = file.create_group("matrix")
        matrix["barcodes"] = np.array(adata.obs_names, dtype="S")
        matrix["data"], matrix["indices"], matrix["indptr"] = X.data.astype(np.int32), X.indices, X.indptr
        matrix["shape"] = np.array([adata.n_vars, adata.n_obs])
        features = matrix.create_group("features")
        features["id"] = features["name"] = np.array(adata.var_names, dtype="S")
        features["feature_type"] = np.array([b"Gene Expression"] * adata.n_vars)
        features["genome"] = np.array([b"GRCh38"] * adata.n_vars)


@pytest.fixture(scope="module")
def files(new_cells: ad.AnnData, new_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("files")
    write_npz(new_cells, folder / "new.npz")
    write_tenx(new_cells, folder / "new.h5")
    return {".h5ad": new_file, ".npz": folder / "new.npz", ".h5": folder / "new.h5"}


@pytest.fixture(scope="module")
def expected(annotator: Annotator, new_cells: ad.AnnData) -> pd.DataFrame:
    return annotator.annotate(new_cells, probabilities=True)


def assert_calls(response: httpx.Response, expected: pd.DataFrame) -> dict[str, Any]:
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert [row["cell_id"] for row in answer["cells"]] == expected.index.tolist()
    for column, of_calls in expected.reindex(columns=[*CALL_COLUMNS]).items():
        values = of_calls.astype(object).where(of_calls.notna(), None).tolist()
        if column == "cellmark_label_set":
            values = [text.split(" | ") for text in values]
        found = [row[column] for row in answer["cells"]]
        # How many cells are computed at once changes the last digits of float32.
        assert found == (pytest.approx(values, abs=1e-5) if isinstance(values[0], float) else values)
    return answer


def form(path: Path, name: str | None = None) -> dict[str, Any]:
    return {"file": (name or path.name, path.read_bytes())}


# every form gives the calls of the Python door ------------------------------------------------------------------------


@pytest.mark.parametrize("make", [cells_json, csr_json])
def test_json_gives_the_calls_that_python_gives(
    client: CheckedClient, new_cells: ad.AnnData, expected: pd.DataFrame, make: Callable[[ad.AnnData], Any]
) -> None:
    answer = assert_calls(client.post("/annotate", json=make(new_cells)), expected)
    assert answer["genes_source"] == "genes"


@pytest.mark.parametrize("extension", [".h5ad", ".npz", ".h5"])
def test_a_file_in_a_form_gives_the_calls_that_python_gives(
    client: CheckedClient, files: dict[str, Path], expected: pd.DataFrame, extension: str
) -> None:
    assert_calls(client.post("/annotate", files=form(files[extension])), expected)


@pytest.mark.parametrize("extension", [".h5ad", ".npz", ".h5"])
@pytest.mark.parametrize("octets", [False, True])
def test_a_file_as_the_body_gives_the_calls_that_python_gives(
    client: CheckedClient, files: dict[str, Path], expected: pd.DataFrame, extension: str, octets: bool
) -> None:
    media_type = "application/x-npz" if extension == ".npz" else "application/x-hdf5"
    headers = {"Content-Type": "application/octet-stream" if octets else media_type}
    assert_calls(client.post("/annotate", content=files[extension].read_bytes(), headers=headers), expected)


def test_an_answer_says_which_model_and_how_the_input_fitted(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData
) -> None:
    panel = set(annotator.bundle.panel.symbols)
    lost = sorted(panel)[:5]
    kept = new_cells[:, ~new_cells.var_names.isin(lost)]
    answer = client.post("/annotate", json=cells_json(kept)).json()
    assert (answer["model"], answer["model_version"]) == ("tiny", None)
    assert answer["bundle_digest"] == annotator.bundle.digest
    assert (answer["genes_matched"], answer["genes_missing"]) == (len(panel) - 5, 5)
    assert sorted(answer["missing_genes"]) == lost
    assert answer["library_size_source"] == "summed"
    assert answer["n_cells"] == new_cells.n_obs


def test_names_of_missing_genes_are_capped_and_their_number_is_not(client: CheckedClient, annotator: Annotator) -> None:
    panel = annotator.bundle.panel.symbols
    n_half = len(panel) // 2 + 1
    body = {"genes": list(panel[:n_half]), "cells": [{"cell_id": "c", "counts": {panel[0]: 4}, "library_size": 99}]}
    answers_cap = answers.MOST_MISSING
    try:
        answers.MOST_MISSING = 3
        answer = client.post("/annotate", json=body).json()
    finally:
        answers.MOST_MISSING = answers_cap
    assert answer["genes_missing"] == len(panel) - n_half
    assert answer["missing_genes"] == list(panel[n_half : n_half + 3])


@pytest.mark.parametrize("route", ["/annotate", "/attribute"])
def test_both_floors_can_be_set_for_one_request(client: CheckedClient, annotator: Annotator, route: str) -> None:
    genes = annotator.bundle.genes.sort_values("attribution_share")["gene_symbol"]
    few = list(genes[: len(genes) // 4])
    body = {"genes": few, "cells": [{"cell_id": "c", "counts": {few[0]: 4}, "library_size": 99}]}
    assert [one["code"] for one in client.post(route, json=body).json()["findings"]] == [
        "TOO_FEW_GENES", "GENES_INSUFFICIENT",
    ]  # fmt: skip
    floors = "min_panel_share=0.2&min_attribution_share=0"
    answer = client.post(f"{route}?{floors}", json=body)
    assert answer.status_code == 200
    assert answer.json()["attribution_share"] == pytest.approx(
        annotator.bundle.genes["attribution_share"].sort_values()[: len(few)].sum()
    )
    assert client.post(route, json=body).status_code == 422  # the next request has the model's floors again


def test_floors_hold_for_validate_and_in_a_form_too(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    panel = annotator.bundle.genes.sort_values("attribution_share")["gene_symbol"]
    new_cells[:3, list(panel[: len(panel) // 3])].copy().write_h5ad(tmp_path / "few.h5ad")
    form: dict[str, Any] = {"min_panel_share": "0.3", "min_attribution_share": "0.01"}
    for fields in ({}, form):
        sent = {"file": ("few.h5ad", (tmp_path / "few.h5ad").read_bytes())}
        answer = client.post("/validate", files=sent, data=fields).json()
        codes = {finding["code"] for finding in answer["findings"] if finding["severity"] == "error"}
        assert codes >= {"LIBRARY_SIZE_NEEDED"}
        assert ({"TOO_FEW_GENES", "GENES_INSUFFICIENT"} <= codes) is (not fields)
        assert 0 < answer["attribution_share"] < 0.3


def test_without_a_list_of_genes_the_keys_count_as_measured(client: CheckedClient, new_cells: ad.AnnData) -> None:
    body = cells_json(new_cells, genes=False)
    keys = sorted({key for cell in body["cells"] for key in cell["counts"]})
    answer = client.post("/annotate", json=body).json()
    assert answer["genes_source"] == "keys"
    listed = client.post("/annotate", json={**body, "genes": keys}).json()
    assert listed["cells"] == answer["cells"]
    assert listed["genes_matched"] == answer["genes_matched"]


def test_library_sizes_are_taken_from_json_and_from_a_column(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    sizes = np.asarray(new_cells.X.sum(axis=1)).ravel() * np.linspace(1, 3, new_cells.n_obs)
    expected = annotator.annotate(new_cells, library_size=sizes)
    answer = assert_calls(client.post("/annotate", json=cells_json(new_cells, library_size=sizes.tolist())), expected)
    assert answer["library_size_source"] == "given"
    csr = {**csr_json(new_cells), "library_sizes": sizes.tolist()}
    assert_calls(client.post("/annotate", json=csr), expected)
    with_column = new_cells.copy()
    with_column.obs["n_counts"] = sizes
    with_column.layers["counts"], with_column.X = with_column.X, with_column.X * 0.5
    with_column.write_h5ad(tmp_path / "sizes.h5ad")
    options = {"library_size": "n_counts", "layer": "counts"}
    in_query = client.post("/annotate", files=form(tmp_path / "sizes.h5ad"), params=options)
    in_form = client.post("/annotate", files=form(tmp_path / "sizes.h5ad"), data=options)
    for response in (in_query, in_form):
        assert assert_calls(response, expected)["counts_from"] == "layers['counts']"


def test_probabilities_come_when_asked_for(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData, expected: pd.DataFrame
) -> None:
    rows = client.post("/annotate?probabilities=true", json=cells_json(new_cells)).json()["cells"]
    served = np.array([[row["probabilities"][name] for name in annotator.cell_types] for row in rows])
    wanted = expected[[f"probability:{name}" for name in annotator.cell_types]].to_numpy(dtype=np.float64)
    np.testing.assert_array_equal(served, wanted)
    assert "probabilities" not in client.post("/annotate", json=cells_json(new_cells)).json()["cells"][0]


@pytest.mark.parametrize(
    "options",
    [{}, {"top": 3}, {"target": "B cell"}, {"against": "second"}, {"target": "T cell", "against": "NK cell", "top": 1}],
)
def test_attributions_are_those_of_the_python_door(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData, options: dict[str, Any]
) -> None:
    frame = annotator.explain(new_cells, **options).astype(object)
    expected = frame.where(frame.notna(), None)
    answer = client.post("/attribute", params=options, json=cells_json(new_cells)).json()
    assert [row["cell_id"] for row in answer["cells"]] == new_cells.obs_names.tolist()
    per_cell = [{key: row[key] for key in row if key != "genes"} for row in answer["cells"]]
    rows = [{**cell, **gene} for cell, row in zip(per_cell, answer["cells"], strict=True) for gene in row["genes"]]
    pd.testing.assert_frame_equal(pd.DataFrame(rows)[list(expected.columns)].astype(object), expected)
    assert answer["bundle_digest"] == annotator.bundle.digest


def test_a_cell_that_no_gene_speaks_for_is_still_explained(
    client: CheckedClient, annotator: Annotator, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    explain = annotator.session.explain

    def silent(*arguments: Any) -> tuple[np.ndarray, np.ndarray]:
        attributions, delta = explain(*arguments)
        attributions[1] = 0
        return attributions, delta

    monkeypatch.setattr(annotator.session, "explain", silent)
    rows = client.post("/attribute?top=2", json=cells_json(new_cells[:3])).json()["cells"]
    assert [len(row["genes"]) for row in rows] == [2, 0, 2]


def test_an_input_of_several_blocks_is_answered_in_order(
    client: CheckedClient, new_cells: ad.AnnData, expected: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rows, "BLOCK_ROWS", 7)
    monkeypatch.setattr(answers, "EXPLAIN_VALUES", 1)
    assert_calls(client.post("/annotate", json=cells_json(new_cells)), expected)
    explained = client.post("/attribute?top=1", json=cells_json(new_cells)).json()["cells"]
    assert [row["cell_id"] for row in explained] == new_cells.obs_names.tolist()


def test_only_the_same_question_as_json_is_answered_without_a_thread(
    client: CheckedClient, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = json.dumps({"genes": new_cells.var_names.tolist(), **cells_json(new_cells[:2])}).encode()
    # Answers are compressed in a thread as well.
    headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
    asked: list[str] = []
    run_sync = anyio.to_thread.run_sync

    async def counted(task: Any, *arguments: Any, **options: Any) -> Any:
        asked.append("thread")
        return await run_sync(task, *arguments, **options)

    monkeypatch.setattr(quick_bodies, "QUICK", 60)
    monkeypatch.setattr(quick_bodies, "SLOW", 60)
    assert client.post("/annotate", content=body, headers=headers).status_code == 200
    monkeypatch.setattr(anyio.to_thread, "run_sync", counted)
    for path, more, in_thread in (
        ("/annotate", {}, False),
        ("/annotate?probabilities=true", {}, True),
        ("/attribute", {}, True),
        ("/validate", {}, True),
        ("/validate", {}, True),
        ("/annotate", {"Accept": "application/x-hdf5"}, True),
        ("/annotate", {}, False),
    ):
        asked.clear()
        assert client.post(path, content=body, headers={**headers, **more}).status_code == 200
        assert bool(asked) == in_thread, (path, more)


def test_requests_side_by_side_get_their_own_answers(
    client: CheckedClient, new_cells: ad.AnnData, expected: pd.DataFrame, files: dict[str, Path]
) -> None:
    def ask(number: int) -> None:
        part = slice(number * 3, number * 3 + 5)
        assert_calls(client.post("/annotate", json=csr_json(new_cells[part].copy())), expected.iloc[part])
        assert_calls(client.post("/annotate", files=form(files[".h5ad"])), expected)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(24)))


# validate, model, markers ---------------------------------------------------------------------------------------------


def test_an_answer_that_is_not_as_documented_is_an_internal_error_in_debug_mode(
    client: CheckedClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    wrong = {**client.get("/model").json(), "device": 3}
    monkeypatch.setattr(answers, "describe_model", lambda *_, **__: wrong)
    assert client.get("/model").status_code == 500
    monkeypatch.delenv("CELLMARK_DEBUG")
    assert TestClient.request(client, "GET", "/model").json() == wrong


def test_fields_that_nobody_filled_in_are_not_values(
    client: CheckedClient, files: dict[str, Path], expected: pd.DataFrame
) -> None:
    """As a browser sends the form of the page at `/`."""
    empty = dict.fromkeys(AnnotateOptions.model_fields, "")
    assert_calls(client.post("/annotate", files=form(files[".h5ad"]), data=empty), expected)
    both = client.post("/annotate", files=form(files[".h5ad"]), data=empty, params={"probabilities": "true"})
    assert "probabilities" in both.json()["cells"][0]
    unknown = client.post("/annotate", files=form(files[".h5ad"]), data={**empty, "tpo": ""})
    assert unknown.json()["findings"][0]["where"] == "tpo"


def test_validate_tells_all_that_is_wrong_at_once(client: CheckedClient, new_cells: ad.AnnData) -> None:
    body = cells_json(new_cells[:4])
    body["cells"][0]["counts"]["GENE1"] = -1
    body["cells"][1]["counts"]["GENE1"] = 0.5
    body["cells"][2]["counts"]["NOGENE"] = 2
    body["cells"][3]["cell_id"] = body["cells"][0]["cell_id"]
    response = client.post("/validate", json=body)
    assert response.status_code == 200
    answer = response.json()
    assert (answer["valid"], answer["n_cells"], answer["quality"]) == (False, 4, None)
    codes = {"GENE_UNKNOWN_KEY", "CELL_ID_DUPLICATE", "COUNTS_NEGATIVE", "COUNTS_NOT_WHOLE"}
    assert {finding["code"] for finding in answer["findings"]} == codes
    refused = client.post("/annotate", json=body)
    assert {finding["code"] for finding in refused.json()["findings"]} == codes
    assert refused.status_code == 422


def test_a_problem_of_the_request_does_not_hide_those_of_the_values(
    client: CheckedClient, new_cells: ad.AnnData
) -> None:
    body = cells_json(new_cells[:2].copy())
    body["cells"][0]["counts"] |= {"NOGENE": 2, "GENE1": -1}
    for route in ("/annotate", "/attribute", "/validate"):
        findings = client.post(route, json=body).json()["findings"]
        assert [finding["code"] for finding in findings] == ["GENE_UNKNOWN_KEY", "COUNTS_NEGATIVE"]


def test_validate_runs_the_expectations_of_an_input_that_can_be_used(
    client: CheckedClient, files: dict[str, Path], annotator: Annotator
) -> None:
    answer = client.post("/validate", files=form(files[".h5ad"])).json()
    assert answer["valid"] is True
    assert answer["genes_matched"] == len(annotator.bundle.panel)
    assert len(answer["quality"]["checks"]) > 10
    assert not any(finding["severity"] == "error" for finding in answer["findings"])


def test_validate_says_of_a_file_that_cannot_be_read_what_is_wrong(
    client: CheckedClient, temporary_files: Path
) -> None:
    answer = client.post("/validate", files={"file": ("new.h5ad", b"not HDF5 at all")}).json()
    assert (answer["valid"], answer["n_cells"]) == (False, None)
    assert [finding["code"] for finding in answer["findings"]] == ["FILE_UNREADABLE"]
    assert str(temporary_files) not in json.dumps(answer)


def test_the_model_tells_its_manifest(client: CheckedClient, annotator: Annotator) -> None:
    manifest = json.loads(annotator.bundle.path("manifest.json").read_text())
    answer = client.get("/model").json()
    for field in ("bundle_digest", "manifest_digest", "metrics", "created", "cell_types", "n_genes_measured"):
        assert answer[field] == manifest[field]
    # Fields that later versions added are null.
    assert answer["panel"] == dict.fromkeys(answer["panel"]) | manifest["panel"]
    assert answer["model"] == manifest["name"]
    assert answer["device"] == "cpu"
    assert client.get("/model?genes=true").json()["genes"] == list(annotator.bundle.panel.symbols)


def test_markers_come_as_json_or_csv(client: CheckedClient, annotator: Annotator) -> None:
    table = annotator.markers("B cell", top=3)
    params = {"cell_type": "B cell", "top": "3"}
    as_json = client.get("/markers", params=params).json()
    assert [row["gene_symbol"] for row in as_json["markers"]] == table["gene_symbol"].tolist()
    assert [row["marker_score"] for row in as_json["markers"]] == table["marker_score"].tolist()
    assert as_json["bundle_digest"] == annotator.bundle.digest
    for options in ({"params": {**params, "format": "csv"}}, {"params": params, "headers": {"Accept": "text/csv"}}):
        response = client.get("/markers", **options)
        assert response.headers["content-type"].startswith("text/csv")
        assert response.text == table.to_csv(index=False)
    everything = client.get("/markers").json()["markers"]
    assert len(everything) == len(annotator.markers())


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv;q=0.5, application/json", "application/json"),
        ("application/json;q=0.2, text/csv", "text/csv"),
        ("*/*", "application/json"),
        ("text/html, text/csv;q=nonsense", "application/json"),
        ("", "application/json"),
    ],
)
def test_the_header_accept_chooses_between_them(client: CheckedClient, accept: str, kind: str) -> None:
    response = client.get("/markers?top=1", headers={"Accept": accept})
    assert response.headers["content-type"].startswith(kind)


# refusals -------------------------------------------------------------------------------------------------------------

JSON = {"Content-Type": "application/json"}
ONE = {"cells": [{"cell_id": "c", "counts": {"GENE1": 1}}]}


@pytest.mark.parametrize(
    ("path", "options", "status", "code"),
    [
        ("/annotate", {}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        ("/annotate", {"content": b"{}", "headers": {"Content-Type": "text/plain"}}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        ("/validate", {"data": {"a": "b"}}, 415, "MEDIA_TYPE_UNSUPPORTED"),
        ("/annotate", {"content": b"{}", "headers": {**JSON, "Content-Encoding": "br"}}, 415,
         "MEDIA_TYPE_UNSUPPORTED"),
        ("/annotate", {"content": b"", "headers": JSON}, 400, "REQUEST_INVALID"),
        ("/annotate", {"content": b'{"cells": [', "headers": JSON}, 400, "REQUEST_INVALID"),
        ("/annotate", {"content": b'{"cells": NaN}', "headers": JSON}, 400, "REQUEST_INVALID"),
        ("/annotate", {"json": {"rows": []}}, 400, "REQUEST_INVALID"),
        ("/annotate", {"json": {"cells": []}}, 422, "NO_CELLS"),
        ("/annotate", {"json": {"cells": [{"cell_id": "c", "counts": {}}]}}, 422, "NO_GENES"),
        ("/annotate", {"json": {"cells": [{"cell_id": "c", "counts": {"X": 1}}]}}, 422, "NO_GENES_SHARED"),
        ("/annotate", {"json": ONE}, 422, "TOO_FEW_GENES"),
        ("/annotate?top=3", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?probabilities=perhaps", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?layer=counts", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?library_size=n", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?min_panel_share=0", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?min_attribution_share=nan", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?min_attribution_share=1.5", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate?min_panel_share=0.001", {"json": ONE}, 422, "GENES_INSUFFICIENT"),
        ("/attribute?top=0", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/attribute?top=2&top=3", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/attribute?target=Q cell", {"json": ONE}, 422, "CELL_TYPE_UNKNOWN"),
        ("/attribute?against=Q cell", {"json": ONE}, 422, "CELL_TYPE_UNKNOWN"),
        ("/attribute?target=B cell&against=B cell", {"json": ONE}, 422, "PARAMETER_INVALID"),
        ("/annotate", {"files": {"file": ("a.csv", b"a,b\n")}}, 415, "FILE_FORMAT_UNKNOWN"),
        ("/annotate", {"files": {"file": ("a.h5ad", b"")}}, 422, "FILE_UNREADABLE"),
        ("/annotate", {"files": {"file": ("../../etc/x.npz", b"PK")}}, 422, "FILE_UNREADABLE"),
        ("/annotate", {"files": {"file": ("noextension", b"hello")}}, 422, "FILE_UNREADABLE"),
        ("/annotate", {"files": {"cells": ("a.h5ad", b"x")}}, 400, "REQUEST_INVALID"),
        ("/annotate", {"files": [("file", ("a.h5ad", b"x")), ("file", ("b.h5ad", b"x"))]}, 400, "REQUEST_INVALID"),
        ("/annotate", {"content": b"x", "headers": {"Content-Type": "multipart/form-data"}}, 400, "REQUEST_INVALID"),
        ("/annotate", {"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400,
         "REQUEST_INVALID"),
        ("/annotate", {"content": b"x", "headers": {"Content-Type": "application/x-hdf5"}}, 422, "FILE_UNREADABLE"),
        ("/annotate", {"content": b"", "headers": {"Content-Type": "application/x-npz"}}, 422, "FILE_UNREADABLE"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_status_and_code(
    client: CheckedClient, path: str, options: dict[str, Any], status: int, code: str
) -> None:
    response = client.post(path, **options)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == PROBLEM
    assert response.json()["status"] == status


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"data": {"layer": "spliced"}}, "LAYER_UNKNOWN"),
        ({"data": {"library_size": "n_counts"}}, "LIBRARY_SIZE_COLUMN_UNKNOWN"),
        ({"data": {"colour": "red"}}, "PARAMETER_INVALID"),
        ({"data": {"layer": "a"}, "params": {"layer": "b"}}, "PARAMETER_INVALID"),
    ],
)
def test_options_of_a_file_that_do_not_fit_are_refused(
    client: CheckedClient, files: dict[str, Path], options: dict[str, Any], code: str
) -> None:
    response = client.post("/annotate", files=form(files[".h5ad"]), **options)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_messages_about_a_file_use_its_own_name_and_no_path_of_the_server(
    client: CheckedClient, temporary_files: Path
) -> None:
    response = client.post("/annotate", files={"file": ("C:\\data\\my cells.h5ad", b"broken")})
    assert response.json()["findings"][0]["where"] == "my_cells.h5ad"
    assert str(temporary_files) not in response.text


def test_a_path_of_the_server_is_taken_out_wherever_a_message_has_it() -> None:
    texts = ["/tmp/x/a.h5ad", "a file like /tmp/x/b", "open('/tmp/x/a.h5ad') failed", "see /tmp/x/c"]
    said = dict(zip(("where", "expected", "found", "remedy"), texts, strict=True))
    (finding,) = without_path([Finding("FILE_UNREADABLE", **said)], "/tmp/x/")
    assert "/tmp/x" not in str(finding)
    assert (finding.where, finding.found) == ("a.h5ad", "open('a.h5ad') failed")


@pytest.mark.parametrize(("path", "code"), [("/markers?cell_type=Q", "CELL_TYPE_UNKNOWN"),
                                            ("/markers?top=x", "PARAMETER_INVALID"),
                                            ("/markers?format=xml", "PARAMETER_INVALID"),
                                            ("/model?x=1", "PARAMETER_INVALID")])  # fmt: skip
def test_get_routes_refuse_unknown_values_too(client: CheckedClient, path: str, code: str) -> None:
    response = client.get(path)
    assert (response.status_code, response.json()["code"]) == (422, code)


def test_unknown_paths_and_methods_are_problems(client: CheckedClient) -> None:
    assert client.get("/nowhere").json()["code"] == "ROUTE_UNKNOWN"
    assert client.get("/annotate/").status_code in (404, 405)
    response = client.get("/annotate")
    assert (response.status_code, response.json()["code"]) == (405, "METHOD_NOT_ALLOWED")
    assert response.headers["allow"] == "POST"
    assert client.delete("/model").status_code == 405


@pytest.mark.parametrize("declared", [True, False])
@pytest.mark.parametrize(
    ("media_type", "limit"),
    [("application/json", SETTINGS.max_json_bytes), ("application/x-hdf5", SETTINGS.max_upload_bytes)],
)
def test_a_body_over_the_limit_is_refused_whether_it_says_its_length_or_not(
    client: CheckedClient, media_type: str, limit: int, declared: bool
) -> None:
    body = b" " * (limit + 1)
    content = body if declared else iter([body[start : start + 65536] for start in range(0, len(body), 65536)])
    response = client.post("/annotate", content=content, headers={"Content-Type": media_type})
    assert (response.status_code, response.json()["code"]) == (413, "REQUEST_TOO_LARGE")
    within = client.post("/annotate", content=b" " * limit, headers={"Content-Type": media_type})
    assert within.status_code in (400, 422)


def test_a_form_over_the_limit_is_refused_on_the_way(client: CheckedClient) -> None:
    response = client.post("/annotate", files={"file": ("a.h5ad", b" " * SETTINGS.max_upload_bytes)})
    assert (response.status_code, response.json()["code"]) == (413, "REQUEST_TOO_LARGE")


def test_an_npz_that_unpacks_to_too_much_is_refused(client: CheckedClient, tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "a.npz", genes=["A"], cell_ids=["c"], indptr=[0, 1], indices=[0],
                        data=np.zeros(4_000_000, dtype=np.uint8))  # fmt: skip
    for route in ("/annotate", "/validate"):
        response = client.post(route, files=form(tmp_path / "a.npz"))
        assert (response.status_code, response.json()["code"]) == (413, "REQUEST_TOO_LARGE")


@pytest.mark.parametrize(
    "limits", [{"max_cells": 10}, {"max_genes": 10}, {"max_nonzeros": 10}], ids=lambda limits: next(iter(limits))
)
@pytest.mark.parametrize("kind", [".h5ad", ".h5", ".npz"])
def test_a_file_beyond_the_limits_is_refused_before_it_is_read(
    annotator: Annotator, files: dict[str, Path], kind: str, limits: dict[str, int]
) -> None:
    with CheckedClient(make_app(annotator, ServiceSettings(**limits))) as limited:
        response = limited.post("/annotate", files=form(files[kind]))
        assert (response.status_code, response.json()["code"]) == (413, "INPUT_TOO_LARGE")
        assert f"CELLMARK_{next(iter(limits)).upper()}" in response.json()["findings"][0]["remedy"]


def test_long_names_of_a_request_are_cut_in_what_it_is_told(client: CheckedClient) -> None:
    response = client.post("/annotate", json={"cells": [{"cell_id": "c", "counts": {"Z" * 250: 1}}]})
    assert response.status_code == 422
    assert max(len(text) for finding in response.json()["findings"] for text in finding["examples"]) <= 101


def test_a_fault_of_ours_is_told_without_its_insides(client: CheckedClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> bytes:
        raise ZeroDivisionError("secret insides")

    monkeypatch.setattr(answers, "annotate", broken)
    response = client.post("/annotate", json=ONE)
    assert (response.status_code, response.json()["code"]) == (500, "INTERNAL_ERROR")
    assert "secret" not in response.text


def test_until_the_model_is_ready_everything_that_needs_it_is_refused() -> None:
    with CheckedClient(make_app(ServedModel(), SETTINGS)) as client:
        for response in (client.post("/annotate", json=ONE), client.get("/model"), client.get("/markers")):
            assert (response.status_code, response.json()["code"]) == (503, "SERVICE_NOT_READY")
        assert client.get("/openapi.json").status_code == 200


def test_a_model_that_cannot_be_loaded_is_told_with_its_reason(tmp_path: Path) -> None:
    served = ServedModel()
    served.load(ServiceSettings(model=str(tmp_path / "missing")))
    with CheckedClient(make_app(served, SETTINGS)) as client:
        response = client.post("/annotate", json=ONE)
    served.stop()
    assert response.status_code == 503
    assert [finding["code"] for finding in response.json()["findings"]] == ["SERVICE_NOT_READY", "MODEL_UNKNOWN"]
    served = ServedModel()
    served.load(ServiceSettings())
    assert not served.is_ready
    served.stop()


def test_any_fault_while_loading_leaves_a_service_that_says_so(
    tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(loading: Loading, version: ServedVersion) -> Annotator:
        raise ZeroDivisionError

    monkeypatch.setattr(Loading, "load", broken)
    served = ServedModel()
    served.load(ServiceSettings(model=str(tiny_bundle.folder)))
    with CheckedClient(make_app(served, SETTINGS)) as client:
        codes = [finding["code"] for finding in client.get("/model").json()["findings"]]
    served.stop()
    assert codes == ["SERVICE_NOT_READY", "INTERNAL_ERROR"]


def test_answers_carry_the_name_and_version_of_the_registry(tiny_bundle: Bundle) -> None:
    served = ServedModel()
    served.load(ServiceSettings(model=str(tiny_bundle.folder), model_name="pbmc", model_version="3"))
    with CheckedClient(make_app(served, SETTINGS)) as client:
        answer = client.get("/model").json()
    served.stop()
    assert (answer["model"], answer["model_version"]) == ("pbmc", "3")


def test_the_gravest_problem_gives_the_status_and_all_are_listed() -> None:
    findings = [
        Finding("BUNDLE_DIGEST_MISMATCH", where=str(number), expected="a", found="b", remedy="c")
        for number in range(200)
    ]
    response = problem(BundleError(*findings))
    body = json.loads(bytes(response.body))
    assert (response.status_code, body["status"], body["code"]) == (409, 409, "BUNDLE_DIGEST_MISMATCH")
    assert len(body["findings"]) == 50
    assert "199 more" in body["detail"]


# whatever is sent -----------------------------------------------------------------------------------------------------

JUNK = (None, True, -1, 0.5, 1e999, 10**30, "", "x" * 300, "\ud800", [], {}, [[1]], {"a": {"b": None}}, 2**63, -0.0)


def mutated(value: Any, generator: random.Random) -> Any:
    """The same tree with one place changed to something else, taken out or put in twice."""
    if isinstance(value, dict) and value and generator.random() < 0.85:
        key = generator.choice(list(value))
        match generator.randrange(6):
            case 0:
                return {name: item for name, item in value.items() if name != key}
            case 1:
                return {**value, generator.choice(["cells", "indptr", "genes", "\x00", "data"]): value[key]}
            case _:
                return {**value, key: mutated(value[key], generator)}
    if isinstance(value, list) and value and generator.random() < 0.85:
        place = generator.randrange(len(value))
        match generator.randrange(6):
            case 0:
                return value[:place] + value[place + 1 :]
            case 1:
                return [*value, value[place]]
            case _:
                return [*value[:place], mutated(value[place], generator), *value[place + 1 :]]
    return generator.choice(JUNK)


@pytest.mark.parametrize("route", ["/annotate", "/attribute"])
def test_no_body_makes_the_service_fail(client: CheckedClient, new_cells: ad.AnnData, route: str) -> None:
    generator = random.Random(0)
    whole = [cells_json(new_cells[:3]), csr_json(new_cells[:3]), cells_json(new_cells[:2], library_size=[500, 600])]
    statuses = set()
    for _ in range(400):
        body = generator.choice(whole)
        for _ in range(generator.randint(1, 3)):
            body = mutated(body, generator)
        text = bytearray(json.dumps(body).encode())
        if generator.random() < 0.3:
            text[generator.randrange(len(text))] = generator.randrange(256)
        response = client.post(route, content=bytes(text), headers=JSON)
        assert response.status_code in (200, 400, 422), response.text
        statuses.add(response.status_code)
    assert statuses == {200, 400, 422}


def test_the_report_is_the_bundles_own_and_may_reach_nothing(client: CheckedClient, annotator: Annotator) -> None:
    answer = client.get("/report")
    assert answer.status_code == 200
    assert answer.content == (annotator.bundle.folder / "report.html").read_bytes()
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-security-policy"].startswith("sandbox ")
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert client.get("/report?x=1").json()["code"] == "PARAMETER_INVALID"
    assert 'href="report"' in client.get("/docs").text


def test_a_bundle_without_a_report_answers_404() -> None:
    old = Annotator.load(ARCHIVES / "v1")
    answer = CheckedClient(make_app(old, SETTINGS)).get("/report")
    assert answer.status_code == 404
    assert answer.json()["code"] == "REPORT_MISSING"
    assert "cellmark report" in answer.json()["findings"][0]["remedy"]


def test_cells_of_another_organism_are_refused_as_documented(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_bundle.folder, folder)
    raw = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    write_manifest(folder, {**{name: value for name, value in raw.items() if name != "files"}, "organism": "human"})
    cells = new_cells.copy()
    cells.uns["organism"] = "mouse"
    cells.write_h5ad(tmp_path / "mouse.h5ad")
    content = (tmp_path / "mouse.h5ad").read_bytes()
    with CheckedClient(make_app(Annotator.load(folder), SETTINGS)) as client:
        for route in ("/annotate", "/attribute"):
            response = client.post(route, files={"file": ("mouse.h5ad", content)})
            assert (response.status_code, response.json()["code"]) == (422, "ORGANISM_MISMATCH")
