"""Samples of a sheet, each read as its own line says."""

from functools import partial
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd

from cellmark.schemas.bundle import Bundle
from cellmark.serving.annotator import Annotator
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.files.batch import SUMMARY_COLUMNS, annotate_batch
from cellmark.serving.files.batch_inputs import batch_inputs


def test_what_a_sheet_says_of_a_sample_holds_for_it_alone_and_is_in_the_summary(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells[:9].copy()
    cells.obs["total"] = 2 * np.asarray(cells.X.sum(axis=1)).ravel()
    cells.layers["counts"] = cells.X.copy()
    cells.X = cells.X * 0.5
    cells.write_h5ad(tmp_path / "s.h5ad")
    (tmp_path / "sheet.csv").write_text(
        "sample,path,donor,layer,library_size,tissue\n"
        "good,s.h5ad,d1,counts,,liver\ngiven,s.h5ad,d2,counts,total,\nwrong,s.h5ad,,spliced,,skin\n"
        "column,s.h5ad,d2,counts,depth,skin\n"
    )
    inputs = batch_inputs([tmp_path / "sheet.csv"])
    annotate_one = partial(annotate_file, Annotator.load(tiny_bundle.folder))
    assert annotate_batch(annotate_one, inputs, tmp_path / "out", trusted=True) == 2
    summary = pd.read_csv(tmp_path / "out" / "summary.csv")
    assert tuple(summary.columns) == (*SUMMARY_COLUMNS, "donor", "tissue")
    assert list(summary["status"]) == ["ok", "ok", "refused", "refused"]
    assert list(summary["library_size_source"][:2]) == ["summed", "given"]
    assert summary["codes"][2] == "LAYER_UNKNOWN"
    assert list(summary["donor"].fillna("")) == ["d1", "d2", "", "d2"]
    assert list(summary["tissue"].fillna("")) == ["liver", "", "skin", "skin"]
