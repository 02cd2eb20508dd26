"""Every door answers ln(1 + counts per 10,000) as it answers the counts."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.reading_options import NOT_KNOWN
from cellmark.serving import Annotator
from cellmark.serving.app import make_app


@pytest.fixture(scope="module")
def logged(new_cells: ad.AnnData) -> ad.AnnData:
    cells = new_cells.copy()
    sc.pp.normalize_total(cells, target_sum=1e4)
    sc.pp.log1p(cells)
    return cells


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


def check_same(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    text = expected.select_dtypes(exclude="number").columns
    assert (found[text].astype(str).to_numpy() == expected[text].astype(str).to_numpy()).all()
    numbers = expected.select_dtypes("number").columns
    np.testing.assert_allclose(found[numbers], expected[numbers], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("change", [
    lambda cells: cells, lambda cells: ad.AnnData(cells.X.toarray(), obs=cells.obs, var=cells.var),
    lambda cells: ad.AnnData(sp.csc_matrix(cells.X, dtype=np.float64), obs=cells.obs, var=cells.var),
    lambda cells: cells.to_df(),
])  # fmt: skip
def test_python(annotator: Annotator, new_cells: ad.AnnData, logged: ad.AnnData, change: Callable[..., Any]) -> None:
    calls = annotator.annotate(change(logged), probabilities=True)
    check_same(calls, annotator.annotate(new_cells, probabilities=True))
    facts = calls.attrs["cellmark"]
    assert facts["library_size_source"] == NOT_KNOWN
    assert [note["code"] for note in facts["notes"]] == ["COUNTS_NORMALISED"]
    found, expected = annotator.explain(change(logged)), annotator.explain(new_cells)
    assert found["counts"].isna().all()
    check_same(found.drop(columns="counts"), expected.drop(columns="counts"))


def test_the_service(annotator: Annotator, new_cells: ad.AnnData, logged: ad.AnnData, tmp_path: Path) -> None:
    X = sp.csr_matrix(logged.X)
    parts = {
        "genes": logged.var_names,
        "cell_ids": logged.obs_names,
        **{k: getattr(X, k) for k in ("indptr", "indices", "data")},
    }
    expected = annotator.annotate(new_cells)
    logged.write_h5ad(tmp_path / "cells.h5ad")
    npz = io.BytesIO()
    np.savez_compressed(
        npz,
        **{
            name: np.asarray(part, dtype=str if name in ("genes", "cell_ids") else None) for name, part in parts.items()
        },
    )
    body = {name: np.asarray(part).tolist() for name, part in parts.items()}
    rows = [dict(zip(body["genes"], map(float, row), strict=True)) for row in X.toarray()]
    named = [
        {"cell_id": cell, "counts": {name: value for name, value in row.items() if value}}
        for cell, row in zip(body["cell_ids"], rows, strict=True)
    ]
    keyed = {"genes": body["genes"], "cells": named}
    with TestClient(make_app(annotator)) as client:
        answers = [
            client.post("/annotate", json=body),
            client.post("/annotate", json=keyed),
            client.post("/annotate", content=npz.getvalue(), headers={"content-type": "application/x-npz"}),
            client.post("/annotate", files={"file": ("cells.h5ad", (tmp_path / "cells.h5ad").read_bytes())}),
            client.post("/annotate", params={"input": "log1p"}, json=body),
        ]
        for answer in answers:
            assert answer.status_code == 200, answer.text
            facts = answer.json()
            assert (facts["library_size_source"], facts["notes"][0]["code"]) == (NOT_KNOWN, "COUNTS_NORMALISED")
            calls = pd.DataFrame(facts["cells"])
            np.testing.assert_allclose(calls["cellmark_confidence"], expected["cellmark_confidence"], atol=1e-5)
            assert calls["cellmark_cell_type"].tolist() == expected["cellmark_cell_type"].astype(str).tolist()
        explained = client.post("/attribute", json=body).json()
        assert explained["cells"][0]["genes"][0]["counts"] is None
        report = client.post("/validate", json=body).json()
        assert (report["valid"], report["library_size_source"]) == (True, NOT_KNOWN)
        assert {entry["column"] for entry in report["quality"]["not_measured"]} >= {"total_counts", "whole_numbers"}
        assert not any(check["column"] == "total_counts" for check in report["quality"]["checks"])
        given = client.post("/annotate", json={**body, "library_sizes": [100.0] * logged.n_obs})
        assert [finding["code"] for finding in given.json()["findings"]] == ["LIBRARY_SIZE_INVALID"]
        assert client.post("/annotate", params={"input": "counts"}, json=body).json()["code"] == "COUNTS_NOT_WHOLE"
        both = client.post("/annotate", params={"input": "log1p", "recover_counts": "true"}, json=body)
        assert (both.status_code, both.json()["code"]) == (422, "PARAMETER_INVALID")


def test_the_command_line(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, logged: ad.AnnData, tmp_path: Path
) -> None:
    logged.to_df().to_csv(tmp_path / "logged.csv")
    new_cells.write_h5ad(tmp_path / "raw.h5ad")
    model = ["--model", tiny_bundle.folder, "--trusted"]
    for name in ("logged.csv", "raw.h5ad"):
        ran = cellmark("annotate", tmp_path / name, *model, "-o", tmp_path / f"{name}.calls.csv")
        assert ran.status == 0, ran.err
        assert (
            ("COUNTS_NORMALISED" in ran.err + ran.out)
            == ("library size not known" in ran.out)
            == (name == "logged.csv")
        )
    check_same(*(pd.read_csv(tmp_path / f"{name}.calls.csv") for name in ("logged.csv", "raw.h5ad")))
    ran = cellmark("drift", tmp_path / "logged.csv", *model, "--json")
    measures = {measure["name"]: measure for measure in json.loads(ran.out)["measures"]}
    assert (measures["library_size"]["observed"], measures["library_size"]["reason"]) == (None, NOT_KNOWN)
    assert measures["genes_detected"]["observed"] is not None
    assert cellmark("validate", tmp_path / "logged.csv", "--trusted", "--input", "log1p").status == 0
    out = tmp_path / "calls.h5ad"
    logged.write_h5ad(tmp_path / "logged.h5ad")
    assert cellmark("annotate", tmp_path / "logged.h5ad", "--model", tiny_bundle.folder, "-o", out).status == 0
    assert ad.read_h5ad(out).uns["cellmark"]["library_size_source"] == NOT_KNOWN
