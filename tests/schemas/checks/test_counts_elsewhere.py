"""A refusal says what the values look like and where raw counts are, at every door."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.cell_source import CellSource
from cellmark.schemas.cells.read import open_cells
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.cells.reading_options import InputKind
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.errors import Finding, InputError
from cellmark.schemas.genes.gene_panel import GenePanel
from fixtures import expression_cases as made


@pytest.fixture(scope="module")
def counts() -> sp.csr_matrix:
    generator = np.random.default_rng(5)
    rates = generator.gamma(0.4, 2, 2000) * generator.lognormal(0, 0.4, (120, 1))
    X = sp.csr_matrix(generator.poisson(rates).astype(np.float32))
    return X[:, np.flatnonzero(X.getnnz(axis=0))]


def findings_of(source: CellSource, kind: InputKind = "auto") -> list[Finding]:
    """All that is said of the values."""
    checked = CheckedCells(source, GenePanel(tuple(dict.fromkeys(map(str, source.var_names)))), input=kind)
    try:
        list(checked.chunks(50))
    except InputError as error:
        return list(error.findings)
    return list(checked.notes)


def logged(counts: sp.csr_matrix, where: str) -> ad.AnnData:
    """`X` logged, and the counts in a layer, in `raw` or nowhere."""
    adata = ad.AnnData(counts.copy(), layers={"scaled": made.scaled(counts)})
    if where == "raw":
        adata.raw = adata.copy()
    elif where != "nowhere":
        adata.layers[where] = counts.copy()
    adata.X = made.log1p_norm(counts)
    return adata


@pytest.mark.parametrize("stored", ["memory", "csr", "csc", "dense", "zarr"])
@pytest.mark.parametrize("where", ["counts", "umis", "raw"])
def test_a_layer_with_the_counts_is_named(where: str, stored: str, counts: sp.csr_matrix, tmp_path: Path) -> None:
    adata = logged(counts, where)
    change: Callable[[Any], Any] = {"csc": sp.csc_matrix, "dense": lambda X: X.toarray()}.get(stored, lambda X: X)
    if where != "raw":
        adata.layers[where] = change(adata.layers[where])
    if stored == "memory":
        source: CellSource = cells_from_anndata(adata)
    else:
        path = tmp_path / ("cells.zarr" if stored == "zarr" else "cells.h5ad")
        (adata.write_zarr if stored == "zarr" else adata.write_h5ad)(path)
        source = open_cells(path)
    with source:
        (finding,) = findings_of(source, "counts")
        (note,) = findings_of(source)
    assert note.code == "COUNTS_NORMALISED"
    assert finding.remedy in note.remedy
    assert finding.code == "COUNTS_NOT_WHOLE"
    assert "this looks like ln(1 + counts per 10,000)" in finding.found
    name = "raw.X" if where == "raw" else f"layers[{where!r}]"
    assert finding.remedy == f"Raw counts are in {name}: --layer {where} (layer={where!r} in Python)."


def test_counts_in_x_are_named_when_a_layer_was_opened(counts: sp.csr_matrix) -> None:
    adata = ad.AnnData(counts, layers={"log": made.log1p_norm(counts)})
    (finding,) = findings_of(cells_from_anndata(adata, layer="log"), "counts")
    assert finding.where == "layers['log']"
    assert finding.remedy.startswith("Raw counts are in X: omit --layer")


def test_without_counts_elsewhere_the_way_back_is_offered_where_there_is_one(counts: sp.csr_matrix) -> None:
    (finding,) = findings_of(cells_from_anndata(logged(counts, "nowhere")), "counts")
    assert "--recover-counts" in finding.remedy
    (finding,) = findings_of(cells_from_anndata(ad.AnnData(made.tpm(counts, np.random.default_rng(0)))))
    assert "TPM" in finding.found
    assert "recover" not in finding.remedy


def test_logarithms_in_raw_are_proposed_when_counts_are_nowhere(counts: sp.csr_matrix) -> None:
    adata = ad.AnnData(made.log1p_norm(counts))
    adata.raw = adata.copy()
    adata.X = made.scaled(counts).toarray()
    finding = findings_of(cells_from_anndata(adata))[0]
    assert "scaled gene by gene" in finding.found
    assert finding.remedy.startswith("raw.X holds ln(1 + counts per 10,000)")
    assert finding.remedy.endswith("which is used as it is: --layer raw (layer='raw' in Python).")
    assert [note.code for note in findings_of(cells_from_anndata(adata, layer="raw"))] == ["COUNTS_NORMALISED"]
    adata.raw = ad.AnnData(made.on_values(made.counts_per(counts, 1e6), np.log1p))
    assert (
        "--layer raw (layer='raw' in Python), with --recover-counts" in findings_of(cells_from_anndata(adata))[0].remedy
    )


def test_few_normalised_cells_are_counted_and_named(counts: sp.csr_matrix) -> None:
    rows = np.array([3, 40, 41, 90, 111])
    adata = ad.AnnData(made.some_rows(counts, made.log1p_norm(counts), rows))
    (finding,) = findings_of(cells_from_anndata(adata))
    assert "5 of 120 cells look like ln(1 + counts per 10,000), the others like whole counts" in finding.found
    assert finding.examples == tuple(map(str, rows))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda X: made.on_values(X, np.sign), "0 and 1"),
        (lambda X: made.on_values(X, lambda data: 5 * data), "counts x 5"),
        (lambda X: made.on_values(made.counts_per(X), np.rint), "rounded"),
        (lambda X: made.on_values(made.log1p_norm(X), np.rint), "rounded"),
    ],
)
def test_whole_numbers_that_are_no_counts_are_refused(
    make: Callable[[sp.csr_matrix], sp.csr_matrix], words: str, counts: sp.csr_matrix
) -> None:
    (finding,) = findings_of(cells_from_anndata(ad.AnnData(make(counts))))
    assert (finding.code, finding.severity) == ("COUNTS_NOT_RAW", "error")
    assert words in finding.found


def test_deep_cells_of_strong_genes_alone_are_counts() -> None:
    generator = np.random.default_rng(0)
    X = sp.csr_matrix(generator.poisson(generator.gamma(2, 40, 300) + 12, (80, 300)).astype(np.float32))
    assert np.median(X.min(axis=1).toarray()) > 1
    assert findings_of(cells_from_anndata(ad.AnnData(X))) == []


def test_counts_of_one_depth_pass_with_a_warning(counts: sp.csr_matrix) -> None:
    (note,) = findings_of(cells_from_anndata(ad.AnnData(made.depth_corrected(counts))))
    assert (note.code, note.severity) == ("COUNTS_ONE_DEPTH", "warning")
    assert "SCTransform" in note.found


def test_a_count_stored_as_many_ones_is_a_count(counts: sp.csr_matrix) -> None:
    rows = np.repeat(np.arange(counts.shape[0]), np.diff(counts.indptr))
    times = counts.data.astype(int)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(np.repeat(rows, times), minlength=counts.shape[0]))])
    parts = np.ones(times.sum(), dtype=np.float32), np.repeat(counts.indices, times), indptr
    ones = sp.csr_matrix(parts, shape=counts.shape)
    assert findings_of(cells_from_anndata(ad.AnnData(ones))) == []


def test_what_is_said_is_the_same_in_any_chunking(counts: sp.csr_matrix) -> None:
    source = cells_from_anndata(logged(counts, "nowhere"))
    panel = GenePanel(tuple(map(str, source.var_names)))
    said = []
    for n_rows in (1, 7, 1000):
        with pytest.raises(InputError) as caught:
            list(CheckedCells(source, panel, input="counts").chunks(n_rows))
        said.append(caught.value.findings)
    assert said[0] == said[1] == said[2]


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
def test_readers_take_the_rows_asked_for(kind: str, counts: sp.csr_matrix, tmp_path: Path) -> None:
    adata = ad.AnnData({"csr": counts, "csc": sp.csc_matrix(counts), "dense": counts.toarray()}[kind])
    adata.write_h5ad(tmp_path / "cells.h5ad")
    rows = np.array([0, 5, 6, 119])
    with open_cells(tmp_path / "cells.h5ad") as source:
        np.testing.assert_array_equal(source.take(rows).toarray(), counts[rows].toarray())
        assert source.take(rows[:0]).shape == (0, counts.shape[1])


def test_the_service_recovers_when_asked_whatever_the_form(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    from starlette.testclient import TestClient

    from cellmark.serving.annotator import Annotator
    from cellmark.serving.app import make_app

    def body(X: sp.csr_matrix) -> dict[str, Any]:
        parts = {"indptr": X.indptr.tolist(), "indices": X.indices.tolist(), "data": X.data.tolist()}
        return {"genes": new_cells.var_names.tolist(), "cell_ids": new_cells.obs_names.tolist(), **parts}

    raw = sp.csr_matrix(new_cells.X)
    with TestClient(make_app(Annotator.load(tiny_bundle.folder))) as client:
        refused = client.post("/annotate", params={"input": "counts"}, json=body(made.log1p_norm(raw)))
        assert refused.status_code == 422
        assert "recover_counts" in refused.json()["findings"][0]["remedy"]
        answer = client.post("/annotate", params={"recover_counts": "true"}, json=body(made.log1p_norm(raw))).json()
        assert answer["cells"] == client.post("/annotate", json=body(raw)).json()["cells"]
        assert [note["code"] for note in answer["notes"]] == ["COUNTS_RECOVERED"]
        impossible = client.post("/annotate", params={"recover_counts": "true"}, json=body(made.scaled(raw)))
        assert (impossible.status_code, impossible.json()["code"]) == (422, "COUNTS_NOT_RECOVERABLE")


def test_the_command_line_recovers_when_asked_and_says_so(
    cellmark: Callable[..., Any], tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.X = made.log1p_norm(sp.csr_matrix(new_cells.X))
    cells.write_h5ad(tmp_path / "log.h5ad")
    new_cells.write_h5ad(tmp_path / "raw.h5ad")
    model = ["--model", tiny_bundle.folder]
    ran = cellmark("annotate", tmp_path / "log.h5ad", *model, "-o", tmp_path / "calls.csv", "--input", "counts")
    assert ran.status == 1
    assert "this looks like ln(1 + counts per 10,000)" in ran.err
    assert "--recover-counts" in ran.err
    assert not (tmp_path / "calls.csv").exists()
    ran = cellmark("annotate", tmp_path / "log.h5ad", *model, "-o", tmp_path / "calls.csv", "--recover-counts")
    assert ran.status == 0, ran.err
    assert "COUNTS_RECOVERED" in ran.out + ran.err
    assert cellmark("annotate", tmp_path / "raw.h5ad", *model, "-o", tmp_path / "raw.csv").status == 0
    assert (tmp_path / "calls.csv").read_text() == (tmp_path / "raw.csv").read_text()
    assert cellmark("validate", tmp_path / "log.h5ad", *model, "--input", "counts").status == 1
    assert cellmark("validate", tmp_path / "log.h5ad", *model, "--recover-counts").status == 0
    explained = tmp_path / "why.csv"
    assert cellmark("explain", tmp_path / "log.h5ad", *model, "-o", explained, "--recover-counts").status == 0
