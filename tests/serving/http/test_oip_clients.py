"""Clients of the Open Inference Protocol that others wrote, against the service on a port of this machine."""

from collections.abc import Iterator
from typing import Any

import anndata as ad
import numpy as np
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.app import make_app
from fixtures.listening import listening


@pytest.fixture(scope="module")
def annotator(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def url(annotator: Annotator) -> Iterator[str]:
    with listening(make_app(annotator)) as url:
        yield url


def test_tritonclient_gets_the_calls_of_the_annotator(url: str, annotator: Annotator, new_cells: ad.AnnData) -> None:
    triton = pytest.importorskip("tritonclient.http", reason="needs the extra test")
    from tritonclient.utils import InferenceServerException

    cells = new_cells[:10].copy()
    rows = cells[:, list(annotator.bundle.panel.symbols)].X.toarray().astype(np.float32)
    sizes = np.asarray(cells.X.sum(axis=1)).astype(np.float32).ravel()
    expected = annotator.annotate(cells)
    name = annotator.source.name
    client = triton.InferenceServerClient(url.removeprefix("http://"))
    try:
        assert client.is_server_live()
        assert client.is_server_ready()
        assert client.is_model_ready(name)
        assert not client.is_model_ready("another")
        assert client.get_server_metadata()["name"] == "cellmark"
        metadata = client.get_model_metadata(name)
        assert metadata["inputs"][0]["shape"] == [-1, rows.shape[1]]
        for binary in (True, False):
            counts, depth = (
                triton.InferInput("counts", rows.shape, "FP32"),
                triton.InferInput("library_size", [10], "FP32"),
            )
            counts.set_data_from_numpy(rows, binary_data=binary)
            depth.set_data_from_numpy(sizes, binary_data=binary)
            wanted = [triton.InferRequestedOutput(one, binary_data=binary) for one in ("cell_type", "confidence")]
            for asked in (wanted, None):
                answer = client.infer(name, [counts, depth], outputs=asked, request_id="7")
                types = [text.decode() if isinstance(text, bytes) else text for text in answer.as_numpy("cell_type")]
                assert types == expected["cellmark_cell_type"].tolist()
                np.testing.assert_allclose(answer.as_numpy("confidence"), expected["cellmark_confidence"], atol=1e-5)
                assert answer.get_response()["id"] == "7"
        counts.set_data_from_numpy(-rows)
        with pytest.raises(InferenceServerException, match="COUNTS_NEGATIVE"):
            client.infer(name, [counts, depth])
    finally:
        client.close()


def test_the_client_generated_from_the_specification_reads_every_answer(
    url: str, annotator: Annotator, new_cells: ad.AnnData
) -> None:
    generated = pytest.importorskip("open_inference.openapi.client", reason="needs the extra test")
    from open_inference.openapi.core.api_error import ApiError
    from open_inference.openapi.errors import BadRequestError
    from open_inference.openapi.types import InferenceRequest, RequestInput

    cells = new_cells[:4].copy()
    rows = cells[:, list(annotator.bundle.panel.symbols)].X.toarray()
    expected = annotator.annotate(cells)
    name, client = annotator.source.name, generated.OpenInferenceClient(base_url=url)
    client.check_server_liveness()
    client.check_server_readiness()
    client.check_model_readiness(name)
    assert client.read_server_metadata().name == "cellmark"
    metadata = client.read_model_metadata(name)
    (version,) = metadata.versions
    client.check_model_version_readiness(name, version)
    assert client.read_model_version_metadata(name, version) == metadata

    def asked(values: np.ndarray) -> Any:
        depth = np.asarray(cells.X.sum(axis=1)).ravel().tolist()
        counts = RequestInput(name="counts", shape=[*values.shape], datatype="FP32", data=values.tolist())
        sizes = RequestInput(name="library_size", shape=[len(depth)], datatype="FP32", data=depth)
        return InferenceRequest(inputs=[counts, sizes])

    for answer in (
        client.model_infer(name, request=asked(rows)),
        client.model_version_infer(name, version, request=asked(rows)),
    ):
        told = {one.name: one for one in answer.outputs}
        assert told["cell_type"].data.__root__ == expected["cellmark_cell_type"].tolist()
        assert len(told["probabilities"].data.__root__) == 4 * len(annotator.cell_types)
    with pytest.raises(ApiError) as unknown:
        client.read_model_metadata("another")
    assert unknown.value.status_code == 404
    with pytest.raises(BadRequestError) as caught:
        client.model_infer(name, request=asked(rows[:, 1:]))
    assert "REQUEST_INVALID" in str(caught.value.body)
