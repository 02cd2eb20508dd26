"""`POST /map`: calls with a place for each cell, and rows that can be asked about again without the file."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.api.map_responses import MapAnswer
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.normalization import normalize
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.reader.own_maps import unpack_maps
from cellmark.serving.reader.reader_messages import BrokenMessageError, Message, pack_text
from cellmark.serving.scoring import cell_map
from cellmark.serving.scoring.cell_map import map_of, principal_plane

BESIDE = {"map", "rows", "library_size_columns", "own_maps", "own_groups"}


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


@pytest.fixture
def with_maps(new_cells: ad.AnnData) -> ad.AnnData:
    """Cells with what an analysis leaves behind: maps, clusters, types, and what is neither."""
    cells, generator = new_cells.copy(), np.random.default_rng(4)
    cells.obsm["X_pca"] = generator.normal(size=(cells.n_obs, 10))
    cells.obsm["X_tsne"] = generator.normal(size=(cells.n_obs, 2)).astype(np.float32)
    cells.obsm["X_umap"] = generator.normal(size=(cells.n_obs, 3))
    cells.obsm["broken"] = np.full((cells.n_obs, 2), np.nan)
    clusters = [str(number % 11) for number in range(cells.n_obs)]
    cells.obs["leiden"] = pd.Categorical(clusters, categories=[str(number) for number in range(12)])
    cells.obs["cell type β"] = pd.Series(np.where(np.arange(cells.n_obs) % 2, "T", None), cells.obs_names, dtype=object)
    cells.obs.loc[cells.obs_names[4], "cell type β"] = "B"
    cells.obs["cluster_score"] = generator.random(cells.n_obs)
    cells.obs["cell_label"] = cells.obs_names
    return cells


def test_maps_and_clusters_of_the_file_come_when_asked_for(
    client: TestClient, with_maps: ad.AnnData, tmp_path: Path
) -> None:
    with_maps.write_h5ad(tmp_path / "own.h5ad")
    plain = sent(client, "/map", tmp_path / "own.h5ad")
    assert plain["own_maps"] == plain["own_groups"] == []
    found = sent(client, "/map", tmp_path / "own.h5ad", own="true")
    assert MapAnswer.model_validate_json(json.dumps(found)).own_maps
    assert [one["name"] for one in found["own_maps"]] == ["X_umap", "X_tsne"]
    np.testing.assert_allclose(found["own_maps"][0]["places"], with_maps.obsm["X_umap"][:, :2], atol=1e-4)
    np.testing.assert_allclose(found["own_maps"][1]["places"], with_maps.obsm["X_tsne"], atol=1e-4)
    clusters, types, known = found["own_groups"]
    assert (clusters["name"], types["name"], known["name"]) == ("leiden", "cell_type", "cell type β")
    # In the order of the column's categories, without one that no cell has.
    assert clusters["groups"] == [str(number) for number in range(11)]
    assert [clusters["groups"][code] for code in clusters["codes"]] == with_maps.obs["leiden"].tolist()
    assert known["groups"] == ["B", "T"]
    named = [None if code < 0 else known["groups"][code] for code in known["codes"]]
    assert named == [one if isinstance(one, str) else None for one in with_maps.obs["cell type β"]]


def test_what_is_wrong_with_a_map_is_no_reason_to_refuse_cells(
    client: TestClient, with_maps: ad.AnnData, tmp_path: Path
) -> None:
    path = tmp_path / "own.h5ad"
    with_maps.write_h5ad(path)
    with h5py.File(path, "r+") as file:
        del file["obsm/X_umap"]
        file["obsm/X_umap"] = np.zeros((3, 2))
        del file["obsm/X_tsne"]
        file["obsm/X_tsne"] = np.array([[b"a", b"b"]] * with_maps.n_obs)
    found = sent(client, "/map", path, own="true")
    assert found["own_maps"] == []
    assert len(found["cells"]) == with_maps.n_obs
    file = tmp_path / "cells.npz"
    X = with_maps.X
    np.savez(file, genes=with_maps.var_names.to_numpy(str), cell_ids=with_maps.obs_names.to_numpy(str),
             indptr=X.indptr, indices=X.indices, data=X.data)  # fmt: skip
    answer = client.post("/map?own=true", content=file.read_bytes(), headers={"content-type": "application/x-npz"})
    assert answer.json()["own_maps"] == answer.json()["own_groups"] == []


@pytest.mark.parametrize(
    "message",
    [
        Message({}, (*pack_text(pd.Series(["a"], dtype=object)), np.zeros(3, dtype=np.float32))),
        Message({}, (*pack_text(pd.Series(["a"], dtype=object)), np.full(4, np.nan, dtype=np.float32))),
        Message({}, (*pack_text(pd.Series(["a"], dtype=object)), np.zeros(4, dtype=np.float64))),
        Message({}, (*pack_text(pd.Series(["a", "a"], dtype=object)), *[np.zeros(4, dtype=np.float32)] * 2)),
        Message({}, (*pack_text(pd.Series(["a", "b"], dtype=object)), np.zeros(4, dtype=np.float32))),
        Message({}, ()),
    ],
)
def test_a_reader_that_says_something_else_is_not_believed(message: Message) -> None:
    with pytest.raises(BrokenMessageError):
        unpack_maps(message, 2)
