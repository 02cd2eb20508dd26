import json
from pathlib import Path

import anndata as ad
import numpy as np
import pytest
import scipy.sparse as sp

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.cells.read_anndata import cells_from_anndata
from cellmark.schemas.errors import InputError, ParameterError
from cellmark.serving.annotator import Annotator
from cellmark.serving.files.validate import validate_cells, validate_path
from cellmark.serving.scoring.call_options import Floors


def test_good_cells_are_valid_and_compared_with_the_training_data(tiny_bundle: Bundle, new_file: Path) -> None:
    report = validate_path(tiny_bundle, new_file)
    assert report.valid
    assert (report.n_cells, report.n_genes) == (120, 120)
    assert report.quality is not None
    assert report.quality.checks
    assert report.summary("new").startswith("new: 120 cells x 120 genes can be used")
    assert json.loads(json.dumps(report.to_dict()))["valid"] is True


def test_what_is_found_is_what_annotate_refuses(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    cells = new_cells.copy()
    counts = cells.X.toarray()
    counts[0, 0], counts[1, 1], counts[2, 2], counts[3, 3], counts[4] = -1, 0.5, np.nan, np.inf, 0
    cells.X = counts
    cells.obs_names = ["twice", "twice", *cells.obs_names[2:]]
    report = validate_cells(tiny_bundle, cells_from_anndata(cells))
    assert not report.valid
    assert report.quality is None
    with pytest.raises(InputError) as caught:
        Annotator.load(tiny_bundle.folder).annotate(cells)
    assert report.findings == caught.value.findings
    assert {finding.code for finding in report.findings} == {
        "COUNTS_NEGATIVE",
        "COUNTS_NOT_WHOLE",
        "COUNTS_NAN",
        "COUNTS_INFINITE",
        "CELL_EMPTY",
        "CELL_ID_DUPLICATE",
    }
    assert "would be refused: 6 errors" in report.summary("cells")


def test_a_file_that_cannot_be_read_is_a_finding_and_no_exception(tiny_bundle: Bundle, tmp_path: Path) -> None:
    (tmp_path / "broken.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    for path, code in ((tmp_path / "broken.h5ad", "FILE_UNREADABLE"), (tmp_path / "none.h5ad", "FILE_NOT_FOUND")):
        report = validate_path(tiny_bundle, path)
        assert not report.valid
        assert [finding.code for finding in report.findings] == [code]
        assert (report.n_cells, report.quality) == (None, None)


def test_too_few_genes_and_no_library_size_come_together(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    report = validate_cells(tiny_bundle, cells_from_anndata(new_cells[:, :10].copy()))
    assert {finding.code for finding in report.findings} >= {"TOO_FEW_GENES", "LIBRARY_SIZE_NEEDED"}


def test_cells_unlike_the_training_data_are_warnings_and_still_valid(
    tiny_bundle: Bundle, new_cells: ad.AnnData
) -> None:
    cells = new_cells.copy()
    # Deeper, and counts still: a multiple of counts would be refused.
    cells.X = sp.csr_matrix(np.random.default_rng(0).poisson((cells.X.toarray() + 0.01) * 200).astype(np.float32))
    report = validate_cells(tiny_bundle, cells_from_anndata(cells))
    assert report.valid
    warnings = [finding for finding in report.findings if finding.severity == "warning"]
    assert any(finding.where == "cells.total_counts" for finding in warnings)
    assert {finding.code for finding in warnings} == {"QUALITY_UNEXPECTED", "LIBRARY_SIZE_UNUSUAL"}
    assert report.quality is not None
    assert not report.quality.success
    assert "not met (warnings)" in report.summary("cells")


def test_data_docs_are_written_to_a_new_folder(tiny_bundle: Bundle, new_file: Path, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    assert validate_path(tiny_bundle, new_file, data_docs=docs).valid
    assert (docs / "index.html").is_file()


def test_floors_out_of_their_range_are_refused(tiny_bundle: Bundle, new_cells: ad.AnnData) -> None:
    cells = cells_from_anndata(new_cells[:3].copy())
    for floors in ({"min_panel_share": 7.0}, {"min_panel_share": float("nan")}, {"min_attribution_share": -1.0}):
        with pytest.raises(ParameterError, match=next(iter(floors))):
            validate_cells(tiny_bundle, cells, floors=Floors(**floors))
