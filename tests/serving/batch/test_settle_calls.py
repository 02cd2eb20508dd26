"""A sample's shift is measured once over all shards, and every place that calls are read from says what follows."""

from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.bundle import Bundle
from cellmark.schemas.columns import BEST_CELL_TYPE, CELL_TYPE, COARSE_CELL_TYPE, NOVELTY, UNASSIGNED
from cellmark.schemas.drift.drift_words import verdict
from cellmark.serving.annotator import Annotator
from cellmark.serving.batch import samples_of_shards, settle_calls
from cellmark.serving.batch.collect_calls import collect_calls
from cellmark.serving.batch.job_folder import JobFolder, write_record
from cellmark.serving.batch.job_records import JobOptions, Outcome
from cellmark.serving.batch.make_job import load_model
from cellmark.serving.batch.run_job import Part
from cellmark.serving.batch.verify_job import reproduce_shard, verify_job
from cellmark.serving.files.annotate_file import annotate_file
from cellmark.serving.files.batch_inputs import BatchInput
from cellmark.serving.files.drift import drift_of_file
from cellmark.serving.scoring.call_options import CallOptions
from fixtures.batch_jobs import MakeJob, run, shard_bytes
from fixtures.shifted_model import SHIFT, shifted_model

ONTOLOGY = {
    "version": "made",
    "probability": 0.9,
    "terms": [{"name": "lymphocyte", "ontology_id": "CL:0000542", "cell_types": ["NK cell", "T cell"]}],
}
LEVELS = {
    "source": "columns",
    "levels": [
        {
            "name": "lineage",
            "groups": [
                {"name": "NK or T", "cell_types": ["NK cell", "T cell"]},
                {"name": "B cell", "cell_types": ["B cell"]},
            ],
            "temperature": 1.2,
        }
    ],
}


@pytest.fixture(scope="module", params=[False, True], ids=["types", "ontology"])
def model(
    tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:
    changes: dict[str, Any] = {"ontology": ONTOLOGY, "levels": LEVELS} if request.param else {}
    return shifted_model(tiny_bundle, tmp_path_factory.mktemp("shifted") / "bundle", new_cells, **changes)


@pytest.fixture(scope="module")
def plain_model(tiny_bundle: Bundle, new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shifted_model(tiny_bundle, tmp_path_factory.mktemp("plain") / "bundle", new_cells)


def outcome_of(job: JobFolder) -> Outcome:
    outcome = job.outcome("sample")
    assert outcome is not None
    return outcome


def shards_of(job: JobFolder) -> pd.DataFrame:
    """As people read them."""
    paths = sorted(job.input_folder("sample").glob("?????.parquet"))
    return pd.concat([pd.read_parquet(path).astype({CELL_TYPE: str, BEST_CELL_TYPE: str}) for path in paths])


@pytest.mark.parametrize("shard_cells", [25, 1000])
def test_shards_outputs_and_counts_say_what_annotate_says_of_the_whole_file(
    job_of: MakeJob, sample: Path, model: Path, tmp_path: Path, shard_cells: int
) -> None:
    annotator = Annotator.load(model)
    whole, _ = annotate_file(annotator, sample, tmp_path / "whole.csv", calls=CallOptions(as_sample=True))
    facts = whole.attrs["cellmark"]["sample_shift"]
    assert (facts["state"], facts["shift"]) == ("shifted", pytest.approx(SHIFT))
    fixed = annotator.annotate(ad.read_h5ad(sample))
    assert (whole[CELL_TYPE] == UNASSIGNED).sum() < (fixed[CELL_TYPE] == UNASSIGNED).sum()
    job = job_of(sample, model=model, format="csv", shard_cells=shard_cells)
    assert run(job)
    shards, outcome = shards_of(job), outcome_of(job)
    assert shards[CELL_TYPE].tolist() == whole[CELL_TYPE].astype(str).tolist()
    if COARSE_CELL_TYPE in whole:
        unassigned = (whole[CELL_TYPE] == UNASSIGNED).tolist()
        assert shards[COARSE_CELL_TYPE].isna().tolist() == unassigned
        assert (shards["cellmark_level_1"] == UNASSIGNED).tolist() == unassigned
        assert shards["cellmark_level_1_confidence"].isna().tolist() == unassigned
    assert outcome.types == whole[CELL_TYPE].value_counts()[lambda sizes: sizes > 0].to_dict()
    collected = collect_calls(job, tmp_path / "collected", "csv", force=False, on_sample=lambda name: None)
    for path in (job.folder / "results" / "sample.csv", *collected):
        pd.testing.assert_frame_equal(pd.read_csv(path), pd.read_csv(tmp_path / "whole.csv"), rtol=1e-5)
    assert "SAMPLE_SHIFTED" in [note["code"] for note in outcome.facts["notes"]]
    assert outcome.drift == verdict(drift_of_file(annotator, sample, options=CallOptions(as_sample=True)))
    assert (job.folder / "results" / "sample.json").read_text() == (tmp_path / "whole.json").read_text()


def test_any_number_of_tasks_writes_the_same_bytes_and_receipts_hold(
    job_of: MakeJob, sample: Path, model: Path
) -> None:
    job = job_of(sample, model=model, format="csv", options=JobOptions(explain=2))
    assert run(job)
    parts = job_of(sample, model=model, format="csv", folder="parts", options=JobOptions(explain=2))
    assert [run(parts, Part(index, 3)) for index in (1, 0, 2)] == [False, False, True]
    assert shard_bytes(parts) == shard_bytes(job)
    assert verify_job(job) == []
    annotator = load_model(job)
    for number in range(3):
        assert reproduce_shard(job, job.spec.inputs[0], number, annotator) == []


@pytest.mark.parametrize(("lost", "column"), [*((lost, None) for lost in range(4)), (1, "donor")])
def test_a_process_that_ends_in_between_costs_no_shard(
    job_of: MakeJob, sample: Path, model: Path, monkeypatch: pytest.MonkeyPatch, lost: int, column: str | None
) -> None:
    options = JobOptions(sample=column)
    undisturbed = job_of(sample, model=model, format="csv", options=options)
    job = job_of(sample, model=model, format="csv", options=options, folder="b")
    run(undisturbed)
    writes = 0

    def write(path: Path, record: Any, *, force: bool = False) -> None:
        nonlocal writes
        writes += 1
        if writes == lost + 1:
            raise KeyboardInterrupt  # before the record of what has been written by then
        write_record(path, record, force=force)

    with monkeypatch.context() as patched:
        patched.setattr(settle_calls, "write_record", write)
        with pytest.raises(KeyboardInterrupt):
            run(job)
    again = JobFolder(job.folder)
    started = [record.started for record in again.records("sample", again.plan("sample")) if record]  # type: ignore[arg-type]
    assert len(started) == 3
    assert run(again)
    assert [record.started for record in again.records("sample", again.plan("sample")) if record] == started  # type: ignore[arg-type]
    assert shard_bytes(again) == shard_bytes(undisturbed)
    assert verify_job(again) == []


def test_a_fixed_threshold_leaves_shards_as_they_were_scored(job_of: MakeJob, sample: Path, model: Path) -> None:
    job = job_of(sample, model=model, options=JobOptions(fixed_threshold=True))
    assert run(job)
    annotator, shards = load_model(job), shards_of(job)
    threshold = annotator.rules().novelty_threshold
    assert threshold is not None
    assert ((shards[NOVELTY] > np.float32(threshold)) == (shards[CELL_TYPE] == UNASSIGNED)).all()
    assert "sample_shift" not in outcome_of(job).facts


def test_beyond_what_training_saw_the_fixed_threshold_stands_and_a_warning_says_so(
    job_of: MakeJob, sample: Path, new_cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    job = job_of(sample, model=shifted_model(tiny_bundle, tmp_path / "bundle", new_cells, cap=SHIFT / 2))
    assert run(job)
    fixed = job_of(sample, model=tmp_path / "bundle", options=JobOptions(fixed_threshold=True), folder="fixed")
    assert run(fixed)
    assert shards_of(job)[CELL_TYPE].tolist() == shards_of(fixed)[CELL_TYPE].tolist()
    facts = outcome_of(job).facts
    assert facts["sample_shift"]["state"] == "beyond"
    assert [note["severity"] for note in facts["notes"] if note["code"] == "SAMPLE_BEYOND_TRAINING"] == ["warning"]


def test_calls_of_types_foreign_to_a_sample_are_taken_back(
    job_of: MakeJob, sample: Path, new_cells: ad.AnnData, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    folder = shifted_model(tiny_bundle, tmp_path / "bundle", new_cells, shift=4.0, refused=0.8, ontology=ONTOLOGY)
    whole, _ = annotate_file(Annotator.load(folder), sample, tmp_path / "a.csv", calls=CallOptions(as_sample=True))
    job = job_of(sample, model=folder, format="csv")
    assert run(job)
    shards, facts = shards_of(job), outcome_of(job).facts
    assert shards[CELL_TYPE].tolist() == whole[CELL_TYPE].astype(str).tolist()
    assert shards[COARSE_CELL_TYPE].isna().tolist() == (shards[CELL_TYPE] == UNASSIGNED).tolist()
    assert (shards[CELL_TYPE] == UNASSIGNED).sum() > (shards[NOVELTY] > whole_threshold(folder)).sum()
    assert facts["sample_shift"] == whole.attrs["cellmark"]["sample_shift"]
    (row,) = pd.read_csv(job.folder / "results" / "summary.csv").to_dict("records")
    assert row["sample_shift"].endswith(f", {', '.join(facts['sample_shift']['foreign_types'])} foreign")
    assert "TYPES_FOREIGN_TO_SAMPLE" in row["codes"]


def whole_threshold(folder: Path) -> float:
    threshold = Annotator.load(folder).rules().novelty_threshold
    assert threshold is not None
    return threshold


@pytest.fixture(scope="module")
def several(new_cells: ad.AnnData, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samples in one file, in turns: one that is shifted, its copy, and one of too few cells."""
    whole = ad.concat([new_cells, new_cells, new_cells[:40]], index_unique="-", merge="same")
    whole.obs["part"] = np.repeat(["a/b", "second", "few"], [new_cells.n_obs, new_cells.n_obs, 40])
    whole = whole[np.random.default_rng(0).permutation(whole.n_obs)].copy()
    path = tmp_path_factory.mktemp("several") / "sample.h5ad"
    whole.write_h5ad(path)
    return path


def test_samples_of_a_column_are_judged_as_annotate_judges_them(
    job_of: MakeJob, several: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, _ = annotate_file(Annotator.load(model), several, tmp_path / "whole.csv", calls=CallOptions(sample="part"))
    options = JobOptions(sample="part")
    monkeypatch.setattr(samples_of_shards, "AT_A_TIME", 130)  # so that samples are looked at one after another
    job = job_of(several, model=model, format="csv", options=options)
    assert run(job)
    shards, outcome = shards_of(job), outcome_of(job)
    assert len(job.records("sample", job.plan("sample"))) > 3  # type: ignore[arg-type]
    assert shards[CELL_TYPE].tolist() == whole[CELL_TYPE].astype(str).tolist()
    assert (job.folder / "results" / "sample.json").read_text() == (tmp_path / "whole.json").read_text()
    of_cell = ad.read_h5ad(several).obs["part"].to_numpy()
    refused = (whole[CELL_TYPE] == UNASSIGNED).to_numpy()
    assert outcome.samples == {
        name: (int((of_cell == name).sum()), int(refused[of_cell == name].sum())) for name in outcome.samples
    }
    (row,) = pd.read_csv(job.folder / "results" / "summary.csv").to_dict("records")
    share = 100 * refused[of_cell == "few"].mean()
    assert f"few {share:.1f} % unassigned, few" in row["sample_shift"].split("; ")
    assert verify_job(job) == []


def test_samples_of_a_column_do_not_depend_on_shards_and_tasks(
    job_of: MakeJob, several: Path, plain_model: Path
) -> None:
    options = JobOptions(sample="part")
    job = job_of(several, model=plain_model, options=options)
    assert run(job)
    parts = job_of(several, model=plain_model, options=options, folder="parts")
    assert [run(parts, Part(index, 3)) for index in (1, 0, 2)] == [False, False, True]
    assert shard_bytes(parts) == shard_bytes(job)
    one = job_of(several, model=plain_model, options=options, folder="one", shard_cells=1000)
    assert run(one)
    assert shards_of(one)[CELL_TYPE].tolist() == shards_of(job)[CELL_TYPE].tolist()
    assert outcome_of(one).facts == outcome_of(job).facts
    assert reproduce_shard(job, job.spec.inputs[0], 2, load_model(job)) == []


def test_an_input_without_the_column_is_refused_by_itself(
    job_of: MakeJob, several: Path, sample: Path, plain_model: Path
) -> None:
    job = job_of(
        BatchInput(several, "sample"), BatchInput(sample, "other"), model=plain_model, options=JobOptions(sample="part")
    )
    assert run(job)
    other = job.outcome("other")
    assert other is not None
    assert (outcome_of(job).status, other.status) == ("ok", "refused")
    assert "one column of obs with samples" in str(other.findings[0])
