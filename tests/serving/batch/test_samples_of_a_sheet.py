"""Samples of a sheet in a job: what one of them lacks stops none of the others, and its columns are in the summary."""

from pathlib import Path

import anndata as ad
import pandas as pd

from cellmark.serving.batch.finish_job import SUMMARY_COLUMNS, summary_path
from cellmark.serving.batch.read_job_facts import read_job_facts
from cellmark.serving.files.batch_inputs import batch_inputs
from fixtures.batch_jobs import MakeJob, run


def test_broken_and_empty_samples_are_named_and_the_others_are_scored(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    new_cells[:9].copy().write_h5ad(tmp_path / "good.h5ad")
    new_cells[:0].copy().write_h5ad(tmp_path / "empty.h5ad")
    (tmp_path / "cut.h5ad").write_bytes((tmp_path / "good.h5ad").read_bytes()[:4_000])
    (tmp_path / "sheet.csv").write_text(
        "sample,path,donor,layer,status,tissue\n"
        "good,good.h5ad,d1,,fresh,liver\nempty,empty.h5ad,,,,\ncut,cut.h5ad,,,,\nlayer,good.h5ad,,spliced,,\n"
        "missing,nowhere.h5ad,,,,skin\n"
    )
    job = job_of(*batch_inputs([tmp_path / "sheet.csv"]))
    assert run(job)
    summary = pd.read_csv(summary_path(job)).set_index("sample")
    assert list(summary.columns) == [*SUMMARY_COLUMNS[1:], "donor", "sheet_status", "tissue"]
    assert summary["status"].to_dict() == {"good": "ok"} | dict.fromkeys(
        ("empty", "cut", "layer", "missing"), "refused"
    )
    codes = {"empty": "NO_CELLS", "cut": "FILE_UNREADABLE", "layer": "LAYER_UNKNOWN", "missing": "FILE_NOT_FOUND"}
    assert summary["codes"][1:].to_dict() == codes
    assert summary.loc["good", ["donor", "sheet_status", "tissue"]].tolist() == ["d1", "fresh", "liver"]
    assert summary["tissue"]["missing"] == "skin"
    empty = read_job_facts(job).samples[1]
    assert (empty.n_cells, empty.findings[0].code) == (0, "NO_CELLS")
