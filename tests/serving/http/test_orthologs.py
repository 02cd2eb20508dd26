"""Cells of a mouse asked of a service whose model is human: the calls of the same cells under human names, marked."""

from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import anndata as ad
import pandas as pd
import pytest
from starlette.testclient import TestClient

from cellmark.schemas.api.map_responses import MapAnswer
from cellmark.schemas.api.responses import AnnotateAnswer, AttributeAnswer, ValidateAnswer
from cellmark.schemas.audit.receipt import Receipt
from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.columns import CROSS_SPECIES, UNS_KEY
from cellmark.schemas.errors import InputError, ParameterError
from cellmark.serving import Annotator, Client
from cellmark.serving.app import make_app
from cellmark.serving.client.annotate_remotely import annotate_remotely
from cellmark.serving.http.options import parse_options
from cellmark.serving.http.receipts import options_given
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.jobs.job_store import JobRecord, JobStore
from cellmark.serving.jobs.routes import JobOptions
from cellmark.serving.jobs.score_job import finish_job, plan_job, score_shard
from fixtures.other_organism import human_model, named_for

MARK = "mouse cells, human model"


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle, new_cells: ad.AnnData) -> Annotator:
    return human_model(tiny_bundle, new_cells.var_names)


@pytest.fixture(scope="module")
def inside(annotator: Annotator) -> Iterator[TestClient]:
    with TestClient(make_app(annotator)) as inside:
        yield inside


@pytest.fixture(scope="module")
def client(inside: TestClient) -> Iterator[Client]:
    with Client("http://testserver", transport=inside._transport, cells_per_request=50) as client:
        yield client


@pytest.fixture(scope="module")
def mouse(new_cells: ad.AnnData) -> ad.AnnData:
    return named_for(new_cells, "mouse")


@pytest.fixture(scope="module")
def as_human(annotator: Annotator, new_cells: ad.AnnData) -> pd.DataFrame:
    """What the model says of the cells under its own names of genes."""
    return annotator.annotate(named_for(new_cells, "human"))


@pytest.fixture(scope="module")
def sent(mouse: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("sent") / "mouse.h5ad"
    mouse.write_h5ad(path)
    return path.read_bytes()


def post(inside: TestClient, route: str, sent: bytes, query: str = "?orthologs=true", accept: str = "*/*") -> Any:
    kinds = {"content-type": "application/octet-stream", "accept": accept}
    return inside.post(f"{route}{query}", content=sent, headers=kinds)


def test_without_it_they_are_refused_and_led_to_it(inside: TestClient, client: Client, sent: bytes) -> None:
    answer = post(inside, "/annotate", sent, "")
    assert answer.status_code == 422
    (finding,) = answer.json()["findings"]
    assert finding["code"] == "ORGANISM_MISMATCH"
    assert "orthologs=True" in finding["remedy"]


def test_every_route_of_cells_takes_it(inside: TestClient, sent: bytes, as_human: pd.DataFrame) -> None:
    annotated = AnnotateAnswer.model_validate_json(post(inside, "/annotate", sent).content)
    assert annotated.cross_species is not None
    assert (annotated.cross_species.cells, annotated.cross_species.model) == ("mouse", "human")
    assert "CROSS_SPECIES" in [note.code for note in annotated.notes]
    calls = [cell.cellmark_cell_type for cell in annotated.cells]
    assert calls == as_human["cellmark_cell_type"].tolist()
    mapped = MapAnswer.model_validate_json(post(inside, "/map", sent, "?orthologs=true&rows=true").content)
    assert [cell.cellmark_cell_type for cell in mapped.cells] == calls
    assert mapped.rows is not None
    explained = AttributeAnswer.model_validate_json(post(inside, "/attribute", sent, "?orthologs=true&top=1").content)
    assert explained.cross_species == annotated.cross_species
    # Some of the rows of a map, which the page asks about, are named as the model names genes.
    rows = mapped.rows.model_dump()
    first = rows["indptr"][1]
    body = {name: rows[name][:first] for name in ("indices", "data")} | {"indptr": [0, first], "genes": rows["genes"]}
    body |= {"cell_ids": ["one"], "library_sizes": rows["library_sizes"][:1]}
    answer = inside.post("/attribute?top=1", json=body)
    gene = answer.json()["cells"][0]["genes"][0]["gene_symbol"]
    assert gene == explained.cells[0].genes[0].gene_symbol
    valid = ValidateAnswer.model_validate_json(post(inside, "/validate", sent).content)
    assert valid.valid
    assert valid.genes_missing == annotated.genes_missing == 0
    assert "CROSS_SPECIES" in [finding.code for finding in valid.findings]


def test_tables_and_copies_mark_every_call(inside: TestClient, sent: bytes, tmp_path: Path) -> None:
    table = pd.read_csv(BytesIO(post(inside, "/annotate", sent, accept="text/csv").content))
    assert set(table[CROSS_SPECIES]) == {MARK}
    genes = pd.read_csv(BytesIO(post(inside, "/attribute", sent, "?orthologs=true&top=1", "text/csv").content))
    assert set(genes[CROSS_SPECIES]) == {MARK}
    (tmp_path / "copy.h5ad").write_bytes(post(inside, "/annotate", sent, accept="application/x-hdf5").content)
    copy = ad.read_h5ad(tmp_path / "copy.h5ad")
    assert set(copy.obs[CROSS_SPECIES]) == {MARK}
    assert copy.uns[UNS_KEY]["cross_species"]["cells"] == "mouse"


def test_a_form_json_and_an_npz_take_it_too(inside: TestClient, sent: bytes, mouse: ad.AnnData) -> None:
    form = inside.post("/annotate", files={"file": ("mouse.h5ad", sent)}, data={"orthologs": "true"})
    X = mouse.X
    rows = {"genes": mouse.var_names.tolist(), "cell_ids": mouse.obs_names.tolist()}
    rows |= {name: getattr(X, name).tolist() for name in ("indptr", "indices", "data")}
    listed = inside.post("/annotate?orthologs=true", json=rows)
    assert form.json()["cells"] == listed.json()["cells"]
    assert listed.json()["cross_species"] == form.json()["cross_species"]


def test_a_receipt_names_it(inside: TestClient, sent: bytes) -> None:
    receipt = Receipt.model_validate(post(inside, "/annotate", sent).json()["receipt"])
    assert receipt.options == {"orthologs": "true"}


def test_a_job_in_several_shards_marks_every_call(
    annotator: Annotator, sent: bytes, as_human: pd.DataFrame, tmp_path: Path
) -> None:
    options = parse_options(JobOptions, [("orthologs", "true")])
    digest, settings = annotator.bundle.digest, ServiceSettings()
    store = JobStore(tmp_path / "jobs")
    draft = store.draft()
    (draft / "input" / "mouse.h5ad").write_bytes(sent)
    given = options_given(options)
    record = JobRecord("a" * 32, None, "2026", 0.0, "mouse.h5ad", given, "0" * 64, "tiny", None, digest, "/nowhere")
    job, _ = store.add(draft, record)
    plan = plan_job(job, annotator, settings, shard_cells=50)
    assert "CROSS_SPECIES" in [note["code"] for note in plan["notes"]]
    for number, (start, stop) in enumerate(plan["shards"]):
        score_shard(job, annotator, settings, number, start, stop)
    finish_job(job, annotator, plan)
    table = pd.read_parquet(job.result)
    assert set(table[CROSS_SPECIES]) == {MARK}
    assert table["cellmark_cell_type"].tolist() == as_human["cellmark_cell_type"].tolist()


def test_the_client_gives_the_frame_of_the_model_at_hand(
    client: Client, annotator: Annotator, mouse: ad.AnnData, sent: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "mouse.h5ad"
    path.write_bytes(sent)
    local = annotator.annotate(mouse, orthologs=True)
    assert set(local[CROSS_SPECIES]) == {MARK}
    for cells in (mouse, path):
        served = client.annotate(cells, orthologs=True)
        pd.testing.assert_frame_equal(served, local, rtol=1e-4, atol=1e-5)
        assert served.attrs[UNS_KEY]["cross_species"] == local.attrs[UNS_KEY]["cross_species"]
        assert [note["code"] for note in served.attrs[UNS_KEY]["notes"]].count("CROSS_SPECIES") == 1
    explained = client.explain(mouse, top=2, orthologs=True)
    expected = annotator.explain(mouse, top=2, orthologs=True)
    assert explained[CROSS_SPECIES].tolist() == expected[CROSS_SPECIES].tolist()
    assert explained["gene_symbol"].tolist() == expected["gene_symbol"].tolist()
    assert client.validate(mouse, orthologs=True)["valid"] is True
    with pytest.raises(InputError, match="ORGANISM_MISMATCH"):
        client.annotate(mouse)


def test_cells_of_the_models_own_organism_are_as_without(
    client: Client, new_cells: ad.AnnData, as_human: pd.DataFrame
) -> None:
    served = client.annotate(named_for(new_cells, "human"), orthologs=True)
    assert CROSS_SPECIES not in served
    assert "cross_species" not in served.attrs[UNS_KEY]
    assert served["cellmark_cell_type"].tolist() == as_human["cellmark_cell_type"].tolist()


def test_a_command_with_a_service_takes_it(client: Client, sent: bytes, tmp_path: Path) -> None:
    (tmp_path / "mouse.h5ad").write_bytes(sent)
    how = ReadingOptions(orthologs=True)
    frame, _ = annotate_remotely(client, tmp_path / "mouse.h5ad", tmp_path / "calls.csv", how, trusted=True)
    assert set(pd.read_csv(tmp_path / "calls.csv")[CROSS_SPECIES]) == {MARK} == set(frame[CROSS_SPECIES])


def test_a_table_of_ones_own_is_refused_with_what_works(client: Client, mouse: ad.AnnData) -> None:
    with pytest.raises(ParameterError, match="--orthologs"):
        client.annotate(mouse, ortholog_table="pairs.csv")
