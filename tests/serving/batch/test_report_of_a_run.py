"""The report at the end of a run, and of a job that has not come so far."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import UNASSIGNED
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch.job_facts import OPEN
from cellmark.serving.batch.read_job_facts import read_job_facts
from cellmark.serving.batch.run_job import Part
from cellmark.serving.files.batch_inputs import BatchInput
from fixtures.batch_jobs import MakeJob, run
from fixtures.places import ARCHIVES


@pytest.fixture
def inputs(sample: Path, new_cells: ad.AnnData, tmp_path: Path) -> list[BatchInput]:
    """Two good samples, one of them in three shards, and a broken one with a hostile name of its donor."""
    broken = tmp_path / "broken.h5ad"
    broken.write_bytes(sample.read_bytes()[:5_000])
    new_cells[:20].write_h5ad(tmp_path / "small.h5ad")
    return [
        BatchInput(sample, "first", donor="d1", metadata={"tissue": "blood"}),
        BatchInput(broken, "broken", donor="<b>d2</b>"),
        BatchInput(tmp_path / "small.h5ad", "small"),
    ]


def test_a_run_ends_with_a_report_of_what_is_recorded(
    job_of: MakeJob, inputs: list[BatchInput], tiny_bundle: Bundle, new_cells: ad.AnnData
) -> None:
    job = job_of(*inputs)
    assert run(job)
    facts = read_job_facts(job)
    assert facts.cell_types == tuple(tiny_bundle.manifest.cell_type_names)
    assert [one.status for one in facts.samples] == ["ok", "refused", "ok"]
    first, broken, small = facts.samples
    calls = Annotator.load(tiny_bundle.folder).annotate(new_cells)
    counted = calls["cellmark_cell_type"].value_counts()
    assert first.types == {name: count for name, count in counted.items() if count}
    assert first.n_unassigned == counted.get(UNASSIGNED, 0)
    assert sum(first.histogram) == first.n_cells == 120
    assert first.n_unsure == (calls["cellmark_confidence"] < 0.5).sum()
    assert [shard.n_cells for shard in first.shards] == [50, 50, 20]
    assert (first.donor, first.metadata, small.n_cells) == ("d1", {"tissue": "blood"}, 20)
    assert broken.findings
    assert broken.n_cells is None
    assert facts.manifest_digest is not None
    page = (job.folder / "report.html").read_text()
    assert facts.manifest_digest in page
    assert "1 of 3 samples was refused" in page
    assert "&lt;b&gt;d2&lt;/b&gt;" in page
    (job.folder / "report.html").unlink()  # as where the job was killed just before it was written
    assert run(job)
    assert (job.folder / "report.html").read_text() == page


def test_a_model_without_a_profile_judges_no_drift(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample, model=ARCHIVES / "v1")
    run(job)
    outcome = job.outcome("sample")
    assert outcome is not None
    assert (outcome.status, outcome.drift) == ("ok", None)
    assert "not compared with held-out cells" in (job.folder / "report.html").read_text()


def test_an_unfinished_job_says_how_far_it_is(
    cellmark: Callable[..., Any], job_of: MakeJob, inputs: list[BatchInput], tmp_path: Path
) -> None:
    job = job_of(*inputs)
    assert not run(job, Part(0, 4))
    assert not (job.folder / "report.html").exists()
    assert OPEN in {one.status for one in read_job_facts(job).samples}
    ran = cellmark("batch", "report", job.folder)
    assert ran.status == 0, ran.err
    assert "not finished yet" in (job.folder / "report.html").read_text()
    out = tmp_path / "page.html"
    assert cellmark("batch", "report", job.folder, "-o", out).status == 0
    again = cellmark("batch", "report", job.folder, "-o", out)
    assert "OUTPUT_EXISTS" in again.err
    assert cellmark("batch", "report", job.folder, "-o", out, "--force").status == 0
