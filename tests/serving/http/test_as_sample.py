"""Requests that ask for it are judged as one sample, as the model at hand judges the same cells."""

from collections.abc import Iterator
from pathlib import Path

import anndata as ad
import pandas as pd
import pytest
from starlette.testclient import TestClient

from cellmark.schemas.api.responses import AnnotateAnswer
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CELL_TYPE
from cellmark.schemas.errors import RequestError
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from cellmark.serving.client.annotate_remotely import annotate_remotely
from cellmark.serving.client.client import Client
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.pyfunc import GatedModel
from cellmark.serving.scoring.call_options import AS_A_SAMPLE
from fixtures.shifted_model import SHIFT, shifted_model


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Annotator:
    return Annotator.load(shifted_model(tiny_bundle, tmp_path_factory.mktemp("shifted") / "bundle", new_cells))


@pytest.fixture(scope="module")
def inside(annotator: Annotator) -> Iterator[TestClient]:
    with TestClient(make_app(annotator)) as inside:
        yield inside


@pytest.fixture
def client(inside: TestClient) -> Iterator[Client]:
    with Client("http://testserver", transport=inside._transport, cells_per_request=50) as client:
        yield client


def test_the_same_calls_and_facts_as_at_hand(
    client: Client, annotator: Annotator, new_cells: ad.AnnData, new_file: Path
) -> None:
    local = annotator.annotate(new_cells, as_sample=True)
    for cells in (new_cells, new_file):
        served = client.annotate(cells, as_sample=True)
        assert served[CELL_TYPE].astype(str).tolist() == local[CELL_TYPE].astype(str).tolist()
        assert served.attrs["cellmark"]["sample_shift"] == local.attrs["cellmark"]["sample_shift"]
        assert "SAMPLE_SHIFTED" in [note["code"] for note in served.attrs["cellmark"]["notes"]]
    fixed = client.annotate(new_cells)
    assert fixed[CELL_TYPE].tolist() == annotator.annotate(new_cells)[CELL_TYPE].tolist()
    assert "sample_shift" not in fixed.attrs["cellmark"]


def test_a_registered_model_judges_a_sample_when_asked(
    annotator: Annotator, new_cells: ad.AnnData, new_file: Path
) -> None:
    model, expected = GatedModel(annotator), annotator.annotate(new_cells, as_sample=True)
    for cells in (new_cells.to_df(), str(new_file)):
        assert model.predict(cells, {"as_sample": True})[CELL_TYPE].tolist() == expected[CELL_TYPE].tolist()


def test_too_few_cells_keep_the_fixed_threshold_and_say_so(client: Client, new_cells: ad.AnnData) -> None:
    few = client.annotate(new_cells[:90], as_sample=True)
    assert few.attrs["cellmark"]["sample_shift"]["state"] == "few"
    assert few[CELL_TYPE].tolist() == client.annotate(new_cells[:90])[CELL_TYPE].tolist()


def test_answers_and_receipts_say_which_threshold_was_used(
    inside: TestClient, annotator: Annotator, new_file: Path, new_cells: ad.AnnData
) -> None:
    def asked(query: str, accept: str = "application/json") -> bytes:
        kinds = {"content-type": "application/octet-stream", "accept": accept}
        answer = inside.post(f"/annotate{query}", content=new_file.read_bytes(), headers=kinds)
        assert answer.status_code == 200, answer.text
        return answer.content

    fixed = AnnotateAnswer.model_validate_json(asked(""))
    whole = AnnotateAnswer.model_validate_json(asked("?as_sample=true"))
    assert fixed.sample_shift is None
    assert fixed.receipt is not None
    assert fixed.receipt.sample_shift is None
    assert whole.novelty_threshold == fixed.novelty_threshold == annotator.rules().novelty_threshold
    assert whole.sample_shift is not None
    assert whole.receipt is not None
    assert (whole.sample_shift.state, whole.receipt.sample_shift) == ("shifted", "shifted")
    assert whole.sample_shift.shift == pytest.approx(SHIFT)
    assert whole.receipt.calls_digest != fixed.receipt.calls_digest
    table = asked("?as_sample=true", "text/csv").decode()
    calls = pd.Series([line.split(",")[1] for line in table.splitlines()[1:]])
    assert calls.tolist() == [cell.cellmark_cell_type for cell in whole.cells]


def test_a_sample_that_does_not_fit_in_one_request_is_refused_or_says_so(
    client: Client, new_cells: ad.AnnData, new_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmark.serving.client import pieces

    monkeypatch.setattr(pieces, "MOST_VALUES", 1_000)
    with pytest.raises(RequestError, match="REQUEST_TOO_LARGE"):
        client.annotate(new_cells, as_sample=True)
    frame, _ = annotate_remotely(client, new_file, tmp_path / "calls.csv", calls=AS_A_SAMPLE, trusted=True)
    assert "SAMPLE_IN_PIECES" in [note["code"] for note in frame.attrs["cellmark"]["notes"]]
    assert frame[CELL_TYPE].tolist() == client.annotate(new_cells)[CELL_TYPE].tolist()


def test_a_model_of_an_earlier_version_answers_as_at_hand(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    old = Annotator.load(tiny_bundle.folder)
    with TestClient(make_app(old, ServiceSettings())) as inside:
        assert inside.get("/model").json()["whole_samples"] is False
        with Client("http://testserver", transport=inside._transport) as client:
            frame = client.annotate(new_cells, as_sample=True)
    assert frame[CELL_TYPE].tolist() == old.annotate(new_cells, as_sample=True)[CELL_TYPE].tolist()
    assert "sample_shift" not in frame.attrs["cellmark"]
