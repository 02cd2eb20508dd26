"""Bundles of every format that was ever released still open, pass their self-test and answer as they did.

`tests/archives/make_v1.py` made the first; its answers come from torch and Captum.
"""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from cellmark.schemas.cells.cell_source import MemoryCells
from cellmark.schemas.manifest.marker_table import COLUMNS
from cellmark.serving import Annotator
from fixtures.places import ARCHIVES

VERSIONS = sorted(path.name for path in ARCHIVES.glob("v*") if path.is_dir())


def cells_of(request: dict[str, Any]) -> MemoryCells:
    """A request's cells: genes that a cell does not name have no counts."""
    frame = pd.DataFrame([cell["counts"] for cell in request["cells"]]).reindex(columns=request["genes"]).fillna(0)
    obs = pd.DataFrame(
        {"total": [cell["library_size"] for cell in request["cells"]]},
        index=[cell["cell_id"] for cell in request["cells"]],
    )
    return MemoryCells(sp.csr_matrix(frame.to_numpy(dtype=np.float32)), np.array(request["genes"]), obs)


@pytest.fixture(scope="module", params=VERSIONS)
def archive(request: pytest.FixtureRequest) -> tuple[Annotator, dict[str, Any]]:
    expected: dict[str, Any] = json.loads((ARCHIVES / f"{request.param}_expected.json").read_text(encoding="utf-8"))
    return Annotator.load(ARCHIVES / request.param), expected


def test_format_1_is_archived_and_small() -> None:
    assert "v1" in VERSIONS
    assert sum(path.stat().st_size for path in (ARCHIVES / "v1").iterdir()) < 300_000


def test_an_archived_bundle_answers_as_torch_did(archive: tuple[Annotator, dict[str, Any]]) -> None:
    annotator, expected = archive
    assert annotator.cell_types == expected["cell_types"]
    for request in expected["requests"]:
        frame = annotator.annotate(cells_of(request), library_size="total", probabilities=True)
        assert frame.index.tolist() == [cell["cell_id"] for cell in request["cells"]]
        assert frame["cellmark_cell_type"].tolist() == [cell["cell_type"] for cell in request["cells"]]
        probabilities = [cell["probabilities"] for cell in request["cells"]]
        np.testing.assert_allclose(frame.filter(like="probability:"), probabilities, atol=1e-5)


def test_an_archived_bundle_explains_as_captum_did(archive: tuple[Annotator, dict[str, Any]]) -> None:
    annotator, expected = archive
    symbols = list(annotator.bundle.panel.symbols)
    for request in expected["requests"]:
        frame = annotator.explain(cells_of(request), top=len(symbols), library_size="total")
        missing = set(symbols) - set(request["genes"])
        assert not missing & set(frame["gene"])
        for cell in request["cells"]:
            found = frame[frame["cell_id"] == cell["cell_id"]].set_index("gene")["attribution"]
            wanted = np.array(cell["attributions"])
            ours = found.reindex(symbols).fillna(0).to_numpy()
            np.testing.assert_allclose(ours, wanted, atol=1e-5 * np.abs(wanted).max() + 1e-6)
    assert any(set(symbols) - set(request["genes"]) for request in expected["requests"])


def test_an_archived_bundle_keeps_its_tables(archive: tuple[Annotator, dict[str, Any]]) -> None:
    annotator, expected = archive
    markers = annotator.markers()
    assert set(markers.columns) <= set(COLUMNS)
    assert set(markers["cell_type"]) == set(expected["cell_types"])
    assert {"gene_symbol", "gene_id", "baseline", "attribution_share"} <= set(annotator.bundle.genes.columns)
    assert annotator.bundle.expectations
