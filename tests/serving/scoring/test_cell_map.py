"""`POST /map`: calls with a place for each cell, and rows that can be asked about again without the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.normalization import normalize
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.scoring import cell_map
from cellmark.serving.scoring.cell_map import map_of, principal_plane

BESIDE = {"map", "rows", "library_size_columns"}


@pytest.fixture(scope="module")
def client(tiny_bundle: Bundle) -> Iterator[TestClient]:
    with TestClient(make_app(Annotator.load(tiny_bundle.folder), ServiceSettings())) as client:
        yield client


def sent(client: TestClient, path: str, file: Path, **fields: str) -> dict[str, Any]:
    with file.open("rb") as content:
        answer = client.post(path, files={"file": ("cells.h5ad", content)}, data=fields)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def without_receipt(answer: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != "receipt" and name not in BESIDE}


@pytest.mark.parametrize("fields", [{}, {"as_sample": "true"}, {"probabilities": "true"}])
def test_calls_are_those_of_annotate(client: TestClient, new_file: Path, fields: dict[str, str]) -> None:
    answer = sent(client, "/map", new_file, **fields)
    assert answer.keys() >= BESIDE
    assert without_receipt(answer) == without_receipt(sent(client, "/annotate", new_file, **fields))
    assert answer["receipt"]["calls_digest"] == sent(client, "/annotate", new_file, **fields)["receipt"]["calls_digest"]


def test_places_are_those_of_the_models_embedding(client: TestClient, new_file: Path, new_cells: ad.AnnData) -> None:
    found = sent(client, "/map", new_file)
    assert found["rows"] is None
    embedding = np.array(found["map"]["embedding"])
    assert embedding.shape[0] == new_cells.n_obs
    # NumPy's SVD, another way to the same plane; signs are free.
    left, sizes, _ = np.linalg.svd(embedding - embedding.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(found["map"]["plane"]), np.abs(left[:, :2] * sizes[:2]), atol=2e-3)
    np.testing.assert_allclose(found["map"]["explained"], (sizes**2 / (sizes**2).sum())[:2], atol=1e-3)


def test_a_plane_keeps_its_signs_and_takes_one_dimension_and_equal_cells() -> None:
    drawn = np.random.default_rng(0).normal(size=(50, 4)) @ np.diag([4.0, 2.0, 1.0, 0.5])
    plane, explained = principal_plane(drawn)
    again, _ = principal_plane(drawn[::-1])
    np.testing.assert_allclose(plane, again[::-1], atol=1e-9)
    assert explained[0] > explained[1] > 0
    line, (first, second) = principal_plane(np.arange(5.0)[:, None])
    assert (np.ptp(line[:, 0]), np.ptp(line[:, 1]), first, second) == (4.0, 0.0, 1.0, 0.0)
    same, shares = principal_plane(np.ones((3, 2)))
    assert not same.any()
    assert not shares.any()


def test_very_many_cells_have_no_map_and_many_no_embedding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cell_map, "MOST_MAPPED", 4)
    monkeypatch.setattr(cell_map, "MOST_EMBEDDED", 3)
    drawn = np.random.default_rng(0).normal(size=(5, 3)).astype(np.float32)
    assert map_of(drawn) is None
    assert map_of(None) is None
    four, three = map_of(drawn[:4]), map_of(drawn[:3])
    assert four is not None
    assert three is not None
    assert (four["embedding"], len(three["embedding"])) == (None, 3)


def test_rows_too_many_to_send_are_omitted_and_calls_are_not(
    client: TestClient, new_file: Path, new_cells: ad.AnnData, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cell_map, "MOST_VALUES", new_cells.X.nnz // 3)
    answer = sent(client, "/map", new_file, rows="true")
    assert answer["rows"] is None
    assert len(answer["cells"]) == new_cells.n_obs


def some_of(answer: dict[str, Any], cells: list[int]) -> dict[str, Any]:
    """A JSON body with some of the rows, as the page makes it."""
    rows = answer["rows"]
    X = sp.csr_matrix((rows["data"], rows["indices"], rows["indptr"]), shape=(len(answer["cells"]), len(rows["genes"])))
    part = X[cells]
    body = {
        "genes": rows["genes"],
        "cell_ids": [answer["cells"][cell]["cell_id"] for cell in cells],
        "indptr": part.indptr.tolist(),
        "indices": part.indices.tolist(),
        "data": part.data.tolist(),
    }
    if rows["library_sizes"] is not None:
        body["library_sizes"] = [rows["library_sizes"][cell] for cell in cells]
    return body


@pytest.mark.parametrize("normalised", [False, True])
def test_some_cells_are_explained_from_their_rows_as_from_the_file(
    client: TestClient, new_cells: ad.AnnData, tmp_path: Path, normalised: bool
) -> None:
    cells, query = new_cells.copy(), {}
    if normalised:
        cells.X = normalize(cells.X, np.asarray(cells.X.sum(axis=1)).ravel())
        query = {"input": "log1p", "max_unknown_share": "1"}
    file = tmp_path / "cells.h5ad"
    cells.write_h5ad(file)
    answer = sent(client, "/map", file, rows="true")
    assert (answer["rows"]["library_sizes"] is None) == normalised
    chosen = [7, 3, 11]
    asked = client.post("/attribute", json=some_of(answer, chosen), params={"against": "second", "top": "5", **query})
    assert asked.status_code == 200, asked.text
    whole = sent(client, "/attribute", file, against="second", top="5")["cells"]
    for found, number in zip(asked.json()["cells"], chosen, strict=True):
        expected = whole[number]
        for name in ("cell_id", "cell_type", "target", "against"):
            assert found[name] == expected[name]
        assert [gene["gene_symbol"] for gene in found["genes"]] == [gene["gene_symbol"] for gene in expected["genes"]]
        np.testing.assert_allclose(
            [gene["attribution"] for gene in found["genes"]],
            [gene["attribution"] for gene in expected["genes"]],
            atol=1e-4,
        )


def test_columns_that_may_be_library_sizes_are_named_the_usual_first(
    client: TestClient, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    totals = np.asarray(cells.X.sum(axis=1)).ravel()
    wrong = totals.copy()
    wrong[0] = np.nan
    cells.obs = pd.DataFrame(
        {
            "leiden": pd.Categorical(["1"] * cells.n_obs),
            "percent_mito": 0.1,
            "cluster": 3,
            "depth": totals * 2,
            "with_nothing": wrong,
            "nCount_RNA": totals.astype(np.int64),
            "total_counts": totals,
        },
        index=cells.obs_names,
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    expected = ["nCount_RNA", "total_counts", "depth"]
    assert sent(client, "/map", tmp_path / "cells.h5ad")["library_size_columns"] == expected
    few = cells[:, :5].copy()
    few.write_h5ad(tmp_path / "few.h5ad")
    refused = sent(client, "/validate", tmp_path / "few.h5ad")
    assert not refused["valid"]
    assert refused["library_size_columns"] == expected


def test_other_forms_than_json_are_refused(client: TestClient, new_file: Path) -> None:
    with new_file.open("rb") as content:
        answer = client.post("/map", files={"file": ("cells.h5ad", content)}, headers={"Accept": "text/csv"})
    assert (answer.status_code, json.loads(answer.content)["code"]) == (406, "NOT_ACCEPTABLE")
