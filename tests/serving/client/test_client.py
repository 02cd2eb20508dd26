"""The client against the service in the test's own process: its answers are the annotator's."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anndata as ad
import httpx
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp
from starlette.testclient import TestClient

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import CellmarkError, CountsError, InputError, ModelError, ParameterError, RequestError
from cellmark.serving import Annotator, Client
from cellmark.serving.app import make_app
from cellmark.serving.client.retry import NO_RETRY
from cellmark.serving.http.settings import ServiceSettings

URL = "http://service"


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


class Watched(httpx.BaseTransport):
    """The service, whose requests are kept and whose answers may be changed."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self.inner = inner
        self.asked: list[httpx.Request] = []
        self.change: Callable[[httpx.Request, httpx.Response], httpx.Response] = lambda _, response: response

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        return self.change(request, self.inner.handle_request(request))

    def posted(self) -> list[httpx.Request]:
        return [request for request in self.asked if request.method == "POST"]


@pytest.fixture
def service(annotator: Annotator) -> Iterator[Watched]:
    settings = ServiceSettings(max_upload_bytes=500_000)
    with TestClient(make_app(annotator, settings), raise_server_exceptions=False) as inside:
        yield Watched(inside._transport)


@pytest.fixture
def client(service: Watched) -> Iterator[Client]:
    with Client(URL, "cm_key", transport=service, cells_per_request=70, retry=NO_RETRY) as client:
        yield client


def assert_same(served: pd.DataFrame, local: pd.DataFrame) -> None:
    """The same frame, and the same facts but for the list of missing genes, which the service cuts at 50."""
    pd.testing.assert_frame_equal(served, local, rtol=1e-4, atol=1e-5)
    assert served.attrs.keys() == local.attrs.keys()
    for attribute, value in local.attrs.items():
        found = served.attrs[attribute]
        if not isinstance(value, dict):
            assert found == value
            continue
        assert found.keys() == value.keys()
        assert found["missing_genes"] == value["missing_genes"][:50]
        notes, of_annotator = (facts["notes"] for facts in (found, value))
        assert [(note["code"], note["where"]) for note in notes] == [
            (note["code"], note["where"]) for note in of_annotator
        ]
        for name in value.keys() - {"missing_genes", "notes"}:
            assert found[name] == pytest.approx(value[name]), name


def as_given(cells: ad.AnnData) -> ad.AnnData:
    return cells


def dense(cells: ad.AnnData) -> ad.AnnData:
    cells.X = cells.X.toarray()
    return cells


def symbols_in_a_column(cells: ad.AnnData) -> ad.AnnData:
    cells.var["gene_symbols"] = cells.var_names.to_numpy()
    cells.var_names = [f"row{number}" for number in range(cells.n_vars)]
    return cells


def of_mice_it_says(cells: ad.AnnData) -> ad.AnnData:
    cells.uns["organism"] = "Mus musculus"
    return cells


def with_antibodies(cells: ad.AnnData) -> ad.AnnData:
    antibodies = ad.AnnData(
        sp.csr_matrix(np.full((cells.n_obs, 2), 900, dtype=np.float32)),
        obs=pd.DataFrame(index=cells.obs_names),
        var=pd.DataFrame({"feature_types": "Antibody Capture"}, index=["tag1", "tag2"]),
    )
    cells.var["feature_types"] = "Gene Expression"
    joined = ad.concat([cells, antibodies], axis="var", merge="same")
    joined.obs = cells.obs
    return joined


def ids_beside_symbols(cells: ad.AnnData) -> ad.AnnData:
    cells.var["gene_ids"] = [f"ENSG{number:011d}" for number in range(cells.n_vars)]
    return cells


def normalised(cells: ad.AnnData) -> ad.AnnData:
    totals = np.asarray(cells.X.sum(axis=1))
    cells.X = sp.csr_matrix(cells.X.multiply(1e4 / totals)).log1p()
    return cells


@pytest.mark.parametrize(
    ("change", "form"),
    [
        (as_given, "application/x-npz"),
        (dense, "application/x-npz"),
        (ids_beside_symbols, "application/x-npz"),
        (normalised, "application/x-npz"),
        (of_mice_it_says, "application/x-npz"),
        (symbols_in_a_column, "application/x-hdf5"),
        (with_antibodies, "application/x-npz"),
    ],
)
def test_cells_sent_in_pieces_get_the_frame_of_the_annotator(
    client: Client,
    service: Watched,
    annotator: Annotator,
    new_cells: ad.AnnData,
    change: Callable[[ad.AnnData], ad.AnnData],
    form: str,
) -> None:
    cells = change(new_cells.copy())
    seen: list[int] = []
    served = client.annotate(cells, probabilities=True, on_progress=seen.append)
    assert_same(served, annotator.annotate(cells, probabilities=True))
    assert {request.headers["content-type"] for request in service.posted()} == {form}
    assert len(service.posted()) == len(seen) == -(-cells.n_obs // 70)
    assert sum(seen) == cells.n_obs
    assert max(seen) - min(seen) <= 1 + cells.n_obs // 70


def test_reading_options_act_as_in_the_annotator(client: Client, annotator: Annotator, new_cells: ad.AnnData) -> None:
    cells = new_cells.copy()
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X * 0.5
    cells.obs["n"] = np.asarray(cells.layers["counts"].sum(axis=1)).ravel() * 2
    for options in (
        {"layer": "counts", "library_size": "n"},
        {"layer": "counts", "library_size": cells.obs["n"].iloc[::-1], "label_set_error": 0.05},
    ):
        assert_same(client.annotate(cells, **options), annotator.annotate(cells, **options))
    clusters = np.arange(cells.n_obs) % 4
    target, other = cells.copy(), cells.copy()
    served = client.annotate(cells, layer="counts", over=clusters, copy_to=target)
    assert_same(served, annotator.annotate(cells, layer="counts", over=clusters, copy_to=other))
    assert target.obs.columns.tolist() == other.obs.columns.tolist()


def test_explanations_and_markers_are_those_of_the_annotator(
    client: Client, annotator: Annotator, new_cells: ad.AnnData
) -> None:
    cells = new_cells[:90].copy()
    served, local = client.explain(cells, against="second", top=3), annotator.explain(cells, against="second", top=3)
    assert_same(served, local)
    pd.testing.assert_frame_equal(client.markers(), annotator.markers())
    name = annotator.cell_types[1]
    pd.testing.assert_frame_equal(client.markers(name, top=2), annotator.markers(name, top=2))
    assert client.model()["bundle_digest"] == annotator.bundle.digest
    assert client.model(genes=True)["genes"] == list(annotator.bundle.panel.symbols)


def test_a_file_is_uploaded_and_one_that_is_too_large_is_sent_in_pieces(
    client: Client, service: Watched, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    small, large = tmp_path / "small.h5ad", tmp_path / "large.h5ad"
    new_cells.write_h5ad(small)
    cells = new_cells.copy()
    cells.layers["dense"] = np.random.default_rng(0).random(cells.shape)
    cells.obsm["noise"] = np.random.default_rng(1).random((cells.n_obs, 500))
    cells.write_h5ad(large)
    assert large.stat().st_size > 500_000
    local = annotator.annotate(small)
    assert_same(client.annotate(small), local)
    (upload,) = service.posted()
    assert upload.headers["content-type"] == "application/octet-stream"
    assert int(upload.headers["content-length"]) == small.stat().st_size
    service.asked.clear()
    assert_same(client.annotate(str(large)), local)
    assert {request.headers["content-type"] for request in service.posted()[1:]} == {"application/x-npz"}


def test_validate_says_what_the_service_says(client: Client, new_cells: ad.AnnData, new_file: Path) -> None:
    assert client.validate(new_file)["valid"] is True
    cells = new_cells.copy()
    cells.X = cells.X * 0.5
    answer = client.validate(cells)
    assert answer["valid"] is False
    assert "COUNTS_NOT_WHOLE" in [finding["code"] for finding in answer["findings"]]


def refused(work: Callable[[], Any]) -> CellmarkError:
    with pytest.raises(CellmarkError) as caught:
        work()
    return caught.value


def test_refusals_are_the_errors_of_the_annotator(client: Client, annotator: Annotator, new_cells: ad.AnnData) -> None:
    negative, few, twice = new_cells.copy(), new_cells[:, :3].copy(), new_cells.copy()
    negative.X.data[:] = -1
    twice.obs_names = ["one"] * twice.n_obs
    for cells, kind in ((negative, CountsError), (few, InputError), (twice, InputError)):
        served, local = refused(partial(client.annotate, cells)), refused(partial(annotator.annotate, cells))
        assert isinstance(served, kind)
        assert served.code == local.code
        assert served.findings[0].where == local.findings[0].where
    unknown = refused(lambda: client.explain(new_cells[:5], target="no such type"))
    assert isinstance(unknown, ModelError)
    assert isinstance(refused(lambda: client.markers("no such type")), ModelError)
    wrong = refused(lambda: client.annotate(new_cells, label_set_error=0.123))
    assert isinstance(wrong, ParameterError)
    assert refused(lambda: client.annotate(new_cells, ortholog_table="a.csv")).code == "PARAMETER_INVALID"
    column = refused(lambda: client.annotate(new_cells, library_size="nothing"))
    assert column.code == "LIBRARY_SIZE_COLUMN_UNKNOWN"


def test_a_column_of_symbols_is_read_here(
    client: Client, annotator: Annotator, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.var["lab names"] = cells.var_names
    cells.var_names = [f"g{number}" for number in range(cells.n_vars)]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    expected = annotator.annotate(new_cells)
    for given in (cells, tmp_path / "cells.h5ad"):
        served = client.annotate(given, symbol_column="lab names")
        assert list(served["cellmark_cell_type"]) == list(expected["cellmark_cell_type"])
        np.testing.assert_allclose(served["cellmark_margin"], expected["cellmark_margin"], atol=1e-6)
    unknown = refused(lambda: client.annotate(cells, symbol_column="nothing"))
    assert unknown.code == "GENE_COLUMN_UNKNOWN"


def test_floors_travel_with_every_request(service: Watched, new_cells: ad.AnnData) -> None:
    cells = new_cells[:, : new_cells.n_vars * 2 // 3].copy()
    with Client(URL, transport=service, min_panel_share=0.99, retry=NO_RETRY) as strict:
        assert refused(lambda: strict.annotate(cells)).code == "TOO_FEW_GENES"


def test_a_model_that_changes_meanwhile_is_asked_for_all_cells_again(
    client: Client, service: Watched, annotator: Annotator, new_cells: ad.AnnData
) -> None:
    local = annotator.annotate(new_cells)

    def first_from_another(request: httpx.Request, response: httpx.Response) -> httpx.Response:
        if request.method != "POST" or len(service.posted()) > 1:
            return response
        answer = json.loads(response.read())
        return httpx.Response(200, json={**answer, "bundle_digest": "another"})

    service.change = first_from_another
    assert_same(client.annotate(new_cells), local)
    service.change = lambda request, response: (
        httpx.Response(200, json={**json.loads(response.read()), "bundle_digest": str(len(service.asked))})
        if request.method == "POST"
        else response
    )
    error = refused(lambda: client.annotate(new_cells))
    assert isinstance(error, RequestError)
    assert "changed its model" in str(error)


def test_an_address_may_name_a_model(service: Watched, annotator: Annotator, new_cells: ad.AnnData) -> None:
    cells = new_cells[:20].copy()
    with Client(f"{URL}/models/{annotator.source.name}", transport=service, retry=NO_RETRY) as client:
        assert_same(client.annotate(cells), annotator.annotate(cells))
    with Client(f"{URL}/models/another/", transport=service, retry=NO_RETRY) as client:
        error = refused(partial(client.annotate, cells))
    assert (type(error), error.code) == (ModelError, "MODEL_UNKNOWN")


def test_the_key_goes_to_the_service_alone(client: Client, service: Watched) -> None:
    client.model()
    assert service.asked[0].headers["authorization"] == "Bearer cm_key"
    service.change = lambda *_: httpx.Response(307, headers={"Location": "http://elsewhere/model"})
    assert refused(client.model).code == "SERVICE_UNREACHABLE"
    assert {request.url.host for request in service.asked} == {"service"}


@pytest.mark.parametrize("url", ["service", "ftp://service", "http://", "http://me:secret@service", "http://s/?a=1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    error = refused(lambda: Client(url))
    assert isinstance(error, ParameterError)
    assert "secret" not in str(error)


def test_a_key_that_no_header_can_hold_is_refused_and_not_shown() -> None:
    error = refused(lambda: Client(URL, "secret\nkey"))
    assert isinstance(error, ParameterError)
    assert "secret" not in str(error)


def test_no_cells_are_refused_as_by_the_annotator(client: Client, annotator: Annotator, new_cells: ad.AnnData) -> None:
    served, local = refused(lambda: client.annotate(new_cells[:0])), refused(lambda: annotator.annotate(new_cells[:0]))
    assert served.code == local.code == "NO_CELLS"
