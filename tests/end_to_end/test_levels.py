"""Calls at every level are the same from every door, and cells of no known type are unassigned at each."""

import io
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest
from starlette.testclient import TestClient

from cellmark.schemas.api.responses import ModelAnswer
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import levels_among
from cellmark.schemas.report.facts import read_facts
from cellmark.schemas.report.render import render_model_card, render_report
from cellmark.serving import Annotator, Client
from cellmark.serving.app import make_app
from cellmark.serving.client.retry import NO_RETRY
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.pyfunc import GatedModel
from fixtures.shifted_model import shifted_model

LEVELS = {
    "source": "columns",
    "levels": [
        {
            "name": "lineage",
            "groups": [
                {"name": "NK or T", "cell_types": ["NK cell", "T cell"]},
                {"name": "B lineage", "cell_types": ["B cell"]},
            ],
            "temperature": 1.5,
        },
        {
            "name": "once more",
            "groups": [
                {"name": "T/NK | all", "cell_types": ["T cell", "NK cell"]},
                {"name": "B cell", "cell_types": ["B cell"]},
            ],
        },
    ],
}
COLUMNS = [
    "cellmark_level_1", "cellmark_level_1_confidence", "cellmark_level_2", "cellmark_level_2_confidence",
]  # fmt: skip


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with levels that leaves a third of `new_cells` unassigned."""
    return shifted_model(tiny_bundle, tmp_path_factory.mktemp("levels") / "bundle", new_cells, levels=LEVELS)


@pytest.fixture(scope="module")
def annotator(model: Path) -> Annotator:
    return Annotator.load(model)


@pytest.fixture(scope="module")
def calls(annotator: Annotator, new_cells: ad.AnnData) -> pd.DataFrame:
    return annotator.annotate(new_cells, probabilities=True)


def test_levels_are_sums_of_probabilities_with_the_levels_temperature(calls: pd.DataFrame) -> None:
    assert levels_among(calls.columns) == COLUMNS
    b = calls["probability:B cell"].to_numpy(dtype=np.float64)
    unassigned = (calls["cellmark_cell_type"] == "unassigned").to_numpy()
    assert 0 < unassigned.sum() < len(calls)
    for (name, confidence), temperature, of_b in zip(
        (COLUMNS[:2], COLUMNS[2:]), (1.5, 1.0), ("B lineage", "B cell"), strict=True
    ):
        assert ((calls[name] == "unassigned") == unassigned).all()
        assert (calls[confidence].isna() == unassigned).all()
        powers = np.stack([b, 1 - b]) ** (1 / temperature)
        np.testing.assert_allclose(
            calls[confidence][~unassigned], (powers.max(axis=0) / powers.sum(axis=0))[~unassigned], rtol=1e-4
        )
        assert ((calls[name] == of_b) == (b > 0.5))[~unassigned].all()


def plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Levels as text and numbers, whatever a door makes of them."""
    found = frame[COLUMNS].reset_index(drop=True)
    texts, numbers = COLUMNS[::2], COLUMNS[1::2]
    return found.astype(dict.fromkeys(texts, str) | dict.fromkeys(numbers, float))


def test_every_door_gives_the_same_levels(
    model: Path, annotator: Annotator, calls: pd.DataFrame, new_cells: ad.AnnData, new_file: Path, tmp_path: Path
) -> None:
    expected = plain(calls)

    def same(frame: pd.DataFrame) -> None:
        pd.testing.assert_frame_equal(plain(frame), expected, rtol=1e-5, check_dtype=False)

    for name in ("calls.csv", "calls.parquet", "calls.h5ad"):
        annotate_file(annotator, new_file, tmp_path / name, force=True)
    same(pd.read_csv(tmp_path / "calls.csv"))
    same(pd.read_parquet(tmp_path / "calls.parquet"))
    copy = ad.read_h5ad(tmp_path / "calls.h5ad")
    same(copy.obs)
    assert copy.obs.columns.tolist()[-4:] == COLUMNS
    new_cells.write_zarr(tmp_path / "cells.zarr")
    annotate_file(annotator, tmp_path / "cells.zarr", tmp_path / "from_zarr.h5ad")
    same(ad.read_h5ad(tmp_path / "from_zarr.h5ad").obs)
    same(GatedModel(annotator).predict(new_cells.to_df()))
    body = new_file.read_bytes()
    with TestClient(make_app(annotator)) as http:
        sent: dict[str, Any] = {"content": body, "headers": {"Content-Type": "application/x-hdf5"}}
        rows = http.post("/annotate", **sent).json()["cells"]
        same(pd.DataFrame(rows))
        sent["headers"]["Accept"] = "text/csv"
        same(pd.read_csv(io.StringIO(http.post("/annotate", **sent).text)))
        answer = http.get("/model").json()
        assert answer["levels"] == LEVELS | {"levels": [
            {**level, "temperature": level.get("temperature", 1.0),  # type: ignore[attr-defined]
             "groups": [{**group, "ontology_id": None} for group in level["groups"]]}  # type: ignore[index]
            for level in LEVELS["levels"]
        ]}  # fmt: skip
        ModelAnswer.model_validate(answer)
        remote = Client("http://testserver", transport=http._transport, retry=NO_RETRY).annotate(new_cells)
    assert remote.columns.tolist() == [name for name in calls.columns if not name.startswith("probability:")]
    same(remote)


def test_levels_of_an_older_call_do_not_stay_beside_those_of_a_model_without(
    tiny_bundle: Bundle, calls: pd.DataFrame, new_cells: ad.AnnData, annotator: Annotator
) -> None:
    adata = new_cells.copy()
    annotator.annotate(adata, copy_to=adata)
    assert levels_among(adata.obs) == COLUMNS
    Annotator.load(tiny_bundle.folder).annotate(adata, copy_to=adata)
    assert levels_among(adata.obs) == []


def test_report_and_card_show_a_line_for_each_level(model: Path) -> None:
    facts = read_facts(Bundle.open(model))
    page = render_report(facts)
    assert "cellmark_level_2" in page
    assert "NK or T, B lineage" in page
    assert "not measured" in page
    card = render_model_card(facts)
    assert "calls at coarser levels" in card
    assert "### Levels" not in card, "nothing was measured of this model's levels"
