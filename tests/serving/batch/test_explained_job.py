"""Jobs that keep the genes behind each call: the same as `explain` gives, in shards, sums and answers."""

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import CELL_ID, EXPLANATION_LISTS
from cellmark.schemas.errors import ParameterError
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch.explanations import EXPLANATION
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.job_records import JobOptions, JobOutputs
from cellmark.serving.batch.make_job import job_spec, load_model, make_job
from cellmark.serving.batch.query_explanations import CellsAsked, open_explanations
from cellmark.serving.batch.verify_job import reproduce_shard, verify_job
from cellmark.serving.commands.batch import batch
from cellmark.serving.files.batch_inputs import batch_inputs
from cellmark.serving.models.model_source import open_model
from fixtures.batch_jobs import MakeJob, run, shard_bytes

EXPLAINED = JobOptions(explain=3)
GENES, ATTRIBUTIONS, DELTA = EXPLANATION_LISTS


@pytest.fixture(scope="module")
def job(sample: Path, tiny_bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> JobFolder:
    """A finished job of three shards, with calls as `.csv`; copy it before changing it."""
    source, outputs = open_model(tiny_bundle.folder), JobOutputs(folder="results", format="csv")
    spec = job_spec(batch_inputs([sample]), source, EXPLAINED, asked="tiny", outputs=outputs, shard_cells=50)
    found = make_job(tmp_path_factory.mktemp("explained") / "job", spec, source, copy_model=True)
    assert run(found)
    return found


def test_shards_hold_what_explain_gives(job: JobFolder, sample: Path, tiny_bundle: Bundle) -> None:
    shards = [pq.read_table(path).to_pandas() for path in open_explanations(job).samples["sample"].shards]
    assert len(shards) == 3
    cells = pd.concat(shards, ignore_index=True)
    explained = Annotator.load(tiny_bundle.folder).explain(sample, top=3)
    assert cells[CELL_ID].tolist() == explained["cell_id"].unique().tolist()
    listed = cells.explode([GENES, ATTRIBUTIONS], ignore_index=True)
    np.testing.assert_allclose(listed[ATTRIBUTIONS].astype(float), explained["attribution"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(listed[DELTA], explained["convergence_delta"], atol=1e-4)
    # Neighbours that are the same up to rounding may change places where chunks are others.
    assert (listed[GENES] == explained["gene"]).mean() > 0.99


def test_files_of_calls_are_the_same_with_and_without_explanations(
    job: JobFolder, job_of: MakeJob, sample: Path
) -> None:
    plain = job_of(sample, format="csv", folder="plain")
    run(plain)
    of_calls = "results/sample.csv"
    assert shard_bytes(job)[of_calls] == shard_bytes(plain)[of_calls]
    assert not (plain.input_folder("sample") / EXPLANATION).exists()


def test_sums_are_in_the_receipt_and_shards_score_the_same_again(job: JobFolder) -> None:
    assert job.manifest is not None
    assert f"inputs/sample/{EXPLANATION}" in job.manifest.files
    assert verify_job(job) == []
    assert reproduce_shard(job, job.spec.inputs[0], 1, load_model(job)) == []


def test_an_unfinished_sample_is_answered_from_its_shards(job: JobFolder, tmp_path: Path) -> None:
    whole = open_explanations(job)
    shutil.copytree(job.folder, tmp_path / "job")
    job = JobFolder(tmp_path / "job")
    (job.input_folder("sample") / "outcome.json").unlink()
    (job.input_folder("sample") / EXPLANATION).unlink()
    shards = open_explanations(job)
    assert shards.samples["sample"].summed is None
    pd.testing.assert_frame_equal(shards.genes_of_types(CellsAsked()), whole.genes_of_types(CellsAsked()))
    (job.input_folder("sample") / "00001.json").unlink()
    job = JobFolder(job.folder)  # which remembers no record
    assert open_explanations(job).summed.drop_duplicates(["cell_type", "best_cell_type"])["n_cells"].sum() < 120


def test_a_job_without_explanations_says_so(job_of: MakeJob, sample: Path) -> None:
    with pytest.raises(ParameterError, match=r"--explain 20.*EXPLANATIONS_MISSING"):
        open_explanations(job_of(sample))


def test_plan_takes_the_number_of_genes(sample: Path, tiny_bundle: Bundle, tmp_path: Path) -> None:
    asked = ["plan", str(sample), "-m", str(tiny_bundle.folder), "-o", str(tmp_path / "job")]
    assert CliRunner().invoke(batch, [*asked, "--explain", "0"]).exit_code == 2
    assert CliRunner().invoke(batch, [*asked, "--explain", "3"]).exit_code == 0
    assert JobFolder(tmp_path / "job").spec.options.explain == 3


def test_the_command_shows_types_and_genes_and_writes_cells(job: JobFolder, tmp_path: Path) -> None:
    runner = CliRunner()
    shown = runner.invoke(batch, ["explain", str(job.folder), "--top", "2"])
    assert shown.exit_code == 0
    first = open_explanations(job).genes_of_types(CellsAsked(), top=2)
    assert all(gene in shown.output for gene in first["gene"])
    gene = str(first["gene"][0])
    assert "sample" in runner.invoke(batch, ["explain", str(job.folder), "--gene", gene]).output
    out = tmp_path / "rows.parquet"
    written = runner.invoke(batch, ["explain", str(job.folder), "--gene", gene.lower(), "-o", str(out)])
    assert written.exit_code == 0
    assert f"{gene.lower()} is {gene} in the model." in written.output
    rows = pd.read_parquet(out)
    assert set(rows["gene"]) == {gene}
    assert f"{len(rows):,} rows written" in written.output
