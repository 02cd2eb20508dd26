"""A job gives the calls that all cells at once get, whatever its shards, processes and ends."""

import shutil
from dataclasses import replace
from pathlib import Path

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.errors import BundleError, InputError, ModelError, OutputError
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch.finish_job import summary_path
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.job_records import JobOptions
from cellmark.serving.batch.make_job import load_model
from cellmark.serving.batch.run_job import JobRun, Part, retry_failed
from cellmark.serving.batch.show_run import Silent
from cellmark.serving.files.batch_inputs import BatchInput
from fixtures.batch_jobs import MakeJob, run, shard_bytes


@pytest.fixture(scope="module")
def expected(tiny_bundle: Bundle, new_cells: ad.AnnData) -> pd.DataFrame:
    return Annotator.load(tiny_bundle.folder).annotate(new_cells)


def same(calls: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Categories, order and types as well; numbers to the rounding of another division into chunks."""
    calls = calls.set_index("cell_id") if "cell_id" in calls else calls
    assert list(calls.columns) == list(expected.columns)
    pd.testing.assert_frame_equal(
        calls, expected, check_exact=False, rtol=1e-5, check_names=False, check_index_type=False
    )


def test_shards_hold_the_calls_of_all_cells_at_once(job_of: MakeJob, sample: Path, expected: pd.DataFrame) -> None:
    job = job_of(sample, format="parquet")
    assert run(job)
    plan = job.plan("sample")
    assert plan is not None
    assert plan.cuts == (0, 50, 100, 120)
    same(pd.read_parquet(job.folder / "results" / "sample.parquet"), expected)
    # As docs/batch.md reads them.
    shards = [pd.read_parquet(path) for path in sorted(job.input_folder("sample").glob("?????.parquet"))]
    assert [len(shard) for shard in shards] == [50, 50, 20]
    joined = pd.concat(shards)
    assert joined["cell_id"].tolist() == expected.index.tolist()
    assert joined["cellmark_cell_type"].astype(str).tolist() == expected["cellmark_cell_type"].astype(str).tolist()


@pytest.mark.parametrize("kind", ["csv", "h5ad", "parquet"])
def test_a_file_of_calls_is_the_one_that_annotate_writes(
    job_of: MakeJob, sample: Path, tiny_bundle: Bundle, tmp_path: Path, kind: str
) -> None:
    from cellmark.serving.files.annotate_file import annotate_file

    annotate_file(Annotator.load(tiny_bundle.folder), sample, tmp_path / f"whole.{kind}")
    job = job_of(sample, format=kind, shard_cells=70)
    run(job)
    ours = job.folder / "results" / f"sample.{kind}"
    if kind == "h5ad":
        one, other = ad.read_h5ad(ours), ad.read_h5ad(tmp_path / "whole.h5ad")
        pd.testing.assert_frame_equal(one.obs, other.obs, rtol=1e-5)
        assert set(one.uns) == set(other.uns)
        assert one.uns["cellmark"]["n_cells"] == 120
        assert np.array_equal(one.X.toarray(), other.X.toarray())
        return
    read = pd.read_csv if kind == "csv" else pd.read_parquet
    pd.testing.assert_frame_equal(read(ours), read(tmp_path / f"whole.{kind}"), rtol=1e-5)
    assert ours.with_suffix(".json").read_text() == (tmp_path / "whole.json").read_text()


def test_any_number_of_tasks_writes_the_same_bytes(job_of: MakeJob, sample: Path) -> None:
    whole = job_of(sample, format="csv", shard_cells=25)
    assert run(whole)
    parts = job_of(sample, format="csv", shard_cells=25, folder="parts")
    ends = [run(parts, Part(index, 3)) for index in (2, 0, 1)]
    assert ends == [False, False, True]
    assert shard_bytes(parts) == shard_bytes(whole)
    again = run(parts)
    assert again


def test_what_is_recorded_is_not_scored_again(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    assert not run(job, Part(0, 2))
    before = {path: path.stat().st_mtime_ns for path in (job.folder / "inputs").rglob("0000[02].json")}
    assert len(before) == 2
    assert run(JobFolder(job.folder))
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_a_shard_without_its_file_is_scored_again(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    run(job, Part(0, 2))
    expected = job.shard_file("sample", 0).read_bytes()
    job.shard_file("sample", 0).write_bytes(expected[:100])
    job = JobFolder(job.folder)
    run(job)
    assert job.shard_file("sample", 0).read_bytes() == expected


def test_what_another_process_has_claimed_is_left_to_it(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    run(job, Part(3, 4))  # plans, and scores nothing
    with job.claim("sample.00001") as mine:
        assert mine
        assert not JobRun(JobFolder(job.folder), lambda: load_model(job), Silent(), part=Part(0, 1)).run()
        states = [record is not None for record in JobFolder(job.folder).records("sample", job.plan("sample"))]  # type: ignore[arg-type]
        assert states == [True, False, True]
    assert run(JobFolder(job.folder))


def test_a_broken_sample_stops_no_other_and_may_be_tried_again(
    job_of: MakeJob, sample: Path, new_cells: ad.AnnData, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cellmark.serving.batch.plan_input.SAMPLE_CELLS", 5)  # a look that misses the last cell
    bad, cut, good = tmp_path / "bad.h5ad", tmp_path / "cut.h5ad", tmp_path / "good.h5ad"
    negative = new_cells.copy()
    negative.X = negative.X.copy()
    negative.X.data[-1] = -1  # of the last cell: found when its shard is scored
    negative.write_h5ad(bad)
    cut.write_bytes(sample.read_bytes()[:10_000])
    new_cells[:30].write_h5ad(good)
    job = job_of(bad, cut, good, sample)
    run(job)
    outcomes = {one.name: job.outcome(one.name) for one in job.spec.inputs}
    assert [one.status for one in outcomes.values() if one] == ["refused", "refused", "ok", "ok"]
    refused = outcomes["bad"]
    assert refused is not None
    assert [finding.code for finding in refused.findings] == ["COUNTS_NEGATIVE"]
    assert "among the cells 101 to 120" in refused.findings[0].found
    summary = pd.read_csv(summary_path(job))
    assert summary["sample"].tolist() == ["bad", "cut", "good", "sample"]
    assert summary["codes"].tolist()[:2] == ["COUNTS_NEGATIVE", "FILE_UNREADABLE"]
    assert summary["n_cells"].tolist()[2:] == [30, 120]

    shutil.copyfile(sample, bad)
    assert retry_failed(job) == ["bad", "cut"]
    run(JobFolder(job.folder))
    again = {one.name: job.outcome(one.name) for one in job.spec.inputs}
    assert [one.status for one in again.values() if one] == ["ok", "refused", "ok", "ok"]


def test_an_input_that_changed_since_it_was_planned_is_named(
    job_of: MakeJob, sample: Path, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    path = tmp_path / "moving.h5ad"
    shutil.copyfile(sample, path)
    job = job_of(path)
    run(job, Part(3, 4))
    new_cells[:60].write_h5ad(path)
    run(JobFolder(job.folder))
    outcome = job.outcome("moving")
    assert outcome is not None
    assert [finding.code for finding in outcome.findings] == ["INPUT_CHANGED"]
    assert retry_failed(job) == ["moving"]
    run(JobFolder(job.folder))
    outcome = job.outcome("moving")
    assert outcome is not None
    assert (outcome.status, outcome.n_cells) == ("ok", 60)


def test_a_job_keeps_the_model_that_it_began_with(
    job_of: MakeJob, sample: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(tiny_bundle.folder, model)
    copied, referred = (job_of(sample, model=model, folder=str(keeps), copy_model=keeps) for keeps in (True, False))
    run(copied, Part(0, 2))
    shutil.rmtree(model)
    assert run(JobFolder(copied.folder))
    with pytest.raises(ModelError, match="no such folder"):
        run(referred)
    spec = replace(copied.spec, model=replace(copied.spec.model, bundle_digest="0" * 64))
    other = JobFolder.create(tmp_path / "other", spec)
    shutil.copytree(copied.folder / "model", other.folder / "model")
    with pytest.raises(BundleError, match="the model that the job began with"):
        load_model(other)


def test_a_sample_is_read_as_its_sheet_says(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path, expected: pd.DataFrame
) -> None:
    cells = new_cells.copy()
    cells.layers["counts"], cells.X = cells.X.copy(), cells.X * 0.5
    cells.write_h5ad(tmp_path / "layered.h5ad")
    path = tmp_path / "layered.h5ad"
    right = BatchInput(path, "right", donor="D1", layer="counts", metadata={"site": "Basel"})
    wrong = BatchInput(path, "wrong", layer="none")
    job = job_of(right, wrong, format="parquet")
    run(job)
    same(pd.read_parquet(job.folder / "results" / "right.parquet"), expected)
    outcome = job.outcome("wrong")
    assert outcome is not None
    assert [finding.code for finding in outcome.findings] == ["LAYER_UNKNOWN"]
    summary = pd.read_csv(summary_path(job))
    assert summary.loc[0, ["donor", "site"]].tolist() == ["D1", "Basel"]


def test_clusters_are_voted_over_all_cells(
    job_of: MakeJob, new_cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.obs["leiden"] = pd.Categorical(np.arange(cells.n_obs) % 7)
    cells.write_h5ad(tmp_path / "clustered.h5ad")
    job = job_of(tmp_path / "clustered.h5ad", options=JobOptions(over="leiden"), format="parquet")
    run(job)
    expected = Annotator.load(tiny_bundle.folder).annotate(cells, over="leiden")
    found = pd.read_parquet(job.folder / "results" / "clustered.parquet").set_index("cell_id")
    assert found["cellmark_majority_cell_type"].tolist() == expected["cellmark_majority_cell_type"].tolist()
    assert np.allclose(found["cellmark_majority_share"], expected["cellmark_majority_share"])


def test_ids_that_occur_twice_in_different_shards_are_refused(
    job_of: MakeJob, new_cells: ad.AnnData, tmp_path: Path
) -> None:
    cells = new_cells.copy()
    cells.obs_names = [*cells.obs_names[:-1], cells.obs_names[0]]
    cells.write_h5ad(tmp_path / "twice.h5ad")
    job = job_of(tmp_path / "twice.h5ad")
    run(job)
    outcome = job.outcome("twice")
    assert outcome is not None
    assert [finding.code for finding in outcome.findings] == ["CELL_ID_DUPLICATE"]
    assert not list(job.input_folder("twice").glob("*.parquet"))


def test_a_disk_that_is_full_ends_with_one_message_and_the_job_goes_on(
    job_of: MakeJob, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cellmark.serving.batch import score_shard as module

    job = job_of(sample)
    real = module.sync

    def full(path: Path) -> None:
        if path.name.startswith(".00001"):
            raise OSError(28, "No space left on device")
        real(path)

    monkeypatch.setattr(module, "sync", full)
    with pytest.raises(OutputError, match="No space left on device"):
        run(job)
    monkeypatch.undo()
    folder = job.input_folder("sample")
    assert sorted(path.name for path in folder.iterdir()) == [
        "00000.json", "00000.parquet", "00000.quality.parquet", "plan.json",
    ]  # fmt: skip
    assert run(JobFolder(job.folder))


def test_a_disk_without_room_for_a_turned_matrix_ends_the_run_and_blames_no_sample(
    job_of: MakeJob, sample: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise InputError.of("SCRATCH_FULL", where="scratch", expected="room", found="none", remedy="Set TMPDIR.")

    job = job_of(sample)
    monkeypatch.setattr("cellmark.serving.batch.plan_input.stored_rows_apart", full)
    with pytest.raises(InputError, match="SCRATCH_FULL"):
        run(job)
    monkeypatch.undo()
    assert run(JobFolder(job.folder))
    outcome = job.outcome("sample")
    assert outcome is not None
    assert outcome.status == "ok"
