"""The receipt of a job finds every changed, missing or additional byte; a shard scores the same again."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anndata as ad
import numpy as np
import pandas as pd
import pytest

from cellmark.schemas.errors import InputError, OutputError, ParameterError
from cellmark.serving.batch.collect_calls import collect_calls, collect_in_place
from cellmark.serving.batch.job_folder import JobFolder
from cellmark.serving.batch.make_job import load_model
from cellmark.serving.batch.run_job import Part
from cellmark.serving.batch.sample_outputs import require_room
from cellmark.serving.batch.verify_job import Difference, find_shard, reproduce_shard, verify_job
from fixtures.batch_jobs import MakeJob, run


@pytest.fixture
def job(job_of: MakeJob, sample: Path, tmp_path: Path) -> JobFolder:
    """A finished job of one sample in three shards, whose input may be changed."""
    path = tmp_path / "cells.h5ad"
    shutil.copyfile(sample, path)
    made = job_of(path, format="csv")
    assert run(made)
    return made


def test_an_untouched_job_is_as_its_receipt_says(job: JobFolder) -> None:
    assert verify_job(job) == []


@pytest.mark.parametrize(
    "path",
    [
        "job.json",
        "inputs/cells/00001.parquet",
        "inputs/cells/00002.json",
        "model/annotator.onnx",
        "results/cells.csv",
    ],
)
def test_a_changed_bit_is_found_wherever_it_is(job: JobFolder, path: str) -> None:
    place = job.folder / path
    content = bytearray(place.read_bytes())
    content[len(content) // 2] ^= 1
    place.write_bytes(content)
    assert verify_job(job) == [Difference(Path(path).name if path.startswith("results") else path, "changed")]


def test_missing_and_additional_files_and_changed_inputs_are_found(job: JobFolder) -> None:
    (job.folder / "inputs" / "cells" / "00000.parquet").unlink()
    (job.folder / "inputs" / "cells" / "00007.parquet").write_bytes(b"")
    path = Path(job.spec.inputs[0].path)
    with path.open("ab") as file:
        file.write(b"\0")
    assert verify_job(job) == [
        Difference("inputs/cells/00007.parquet", "additional"),
        Difference("inputs/cells/00000.parquet", "missing"),
        Difference(str(path), "changed"),
    ]
    path.unlink()
    assert Difference(str(path), "missing") in verify_job(job)


def test_a_receipt_that_was_changed_itself_is_found(job: JobFolder) -> None:
    place = job.folder / "manifest.json"
    place.write_text(place.read_text().replace('"n_cells": 120', '"n_cells": 121'))
    assert Difference("manifest.json", "changed") in verify_job(JobFolder(job.folder))


def test_a_shard_scores_the_same_bytes_again(job: JobFolder) -> None:
    sample, number = find_shard(job, "cells:1")
    annotator = load_model(job)
    assert reproduce_shard(job, sample, number, annotator) == []
    content = pd.read_parquet(job.shard_file("cells", 1))
    assert len(content) == 50
    for text in ("3", "other:0", "cells:x", ""):
        with pytest.raises(ParameterError):
            find_shard(job, text)


def test_calls_that_another_model_would_make_are_told_apart(job: JobFolder) -> None:
    sample, number = find_shard(job, "0")
    annotator = load_model(job)

    class Colder:
        """The same session, whose probabilities are a little different."""

        def __getattr__(self, name: str) -> Any:
            return getattr(session, name)

        def annotate(self, counts: np.ndarray, library_size: np.ndarray) -> dict[str, np.ndarray]:
            outputs = session.annotate(counts, library_size)
            return {**outputs, "probabilities": outputs["probabilities"] * np.float32(0.999)}

    session = annotator.session
    annotator.session = Colder()  # type: ignore[assignment]
    assert reproduce_shard(job, sample, number, annotator) == [Difference("00000.parquet", "changed")]


def test_an_unfinished_job_has_no_receipt(job_of: MakeJob, sample: Path) -> None:
    job = job_of(sample)
    run(job, Part(0, 2))
    with pytest.raises(ParameterError, match="JOB_UNFINISHED"):
        verify_job(job)


def test_calls_are_collected_in_other_formats(job: JobFolder, tmp_path: Path, new_cells: ad.AnnData) -> None:
    (path,) = collect_calls(job, tmp_path / "calls", "h5ad", force=False, on_sample=lambda text: None)
    found = ad.read_h5ad(path)
    assert found.obs_names.tolist() == new_cells.obs_names.tolist()
    assert "cellmark_cell_type" in found.obs
    with pytest.raises(OutputError, match="OUTPUT_EXISTS"):
        collect_calls(job, tmp_path / "calls", "h5ad", force=False, on_sample=lambda text: None)


def test_in_place_the_input_gets_its_calls_and_keeps_everything_else(job: JobFolder, new_cells: ad.AnnData) -> None:
    path = Path(job.spec.inputs[0].path)
    path.chmod(0o640)
    assert collect_in_place(job, on_sample=lambda text: None) == [path]
    found = ad.read_h5ad(path)
    assert np.array_equal(found.X.toarray(), new_cells.X.toarray())
    calls = pd.read_csv(job.folder / "results" / "cells.csv")
    assert found.obs["cellmark_cell_type"].astype(str).tolist() == calls["cellmark_cell_type"].tolist()
    assert path.stat().st_mode & 0o777 == 0o640
    assert sorted(one.name for one in path.parent.iterdir()) == ["cells.h5ad", "job"]
    with pytest.raises(InputError, match="INPUT_CHANGED"):
        collect_in_place(job, on_sample=lambda text: None)


def test_in_place_a_link_stays_and_what_it_names_gets_the_calls(job_of: MakeJob, sample: Path, tmp_path: Path) -> None:
    stored, link = tmp_path / "stored.h5ad", tmp_path / "linked.h5ad"
    shutil.copyfile(sample, stored)
    link.symlink_to(stored)
    job = job_of(link)
    assert run(job)
    collect_in_place(job, on_sample=lambda text: None)
    assert link.is_symlink()
    assert "cellmark_cell_type" in ad.read_h5ad(stored).obs


@pytest.mark.parametrize("name", ["../outside", "a/b", "..", ""])
def test_a_job_from_elsewhere_names_no_file_outside_its_folder(job: JobFolder, name: str) -> None:
    place = job.folder / "job.json"
    place.write_text(place.read_text().replace('"name": "cells"', f'"name": "{name}"'))
    with pytest.raises(ParameterError, match="JOB_FOLDER_INVALID"):
        JobFolder(job.folder)


def test_an_input_that_is_gone_at_the_end_is_blamed_and_nothing_else(
    job_of: MakeJob, sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "short_lived.h5ad"
    shutil.copyfile(sample, path)
    job = job_of(path)

    def gone(self: object) -> str:
        raise FileNotFoundError(2, "No such file or directory")

    monkeypatch.setattr("cellmark.serving.batch.input_digest.DigestAhead.result", gone)
    run(job)
    outcome = job.outcome("short_lived")
    assert outcome is not None
    assert [finding.code for finding in outcome.findings] == ["FILE_UNREADABLE"]


def test_in_place_is_refused_where_a_copy_has_no_room(job: JobFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = Path(job.spec.inputs[0].path)
    before = path.read_bytes()
    usage = shutil._ntuple_diskusage(10**9, 10**9 - 1000, 1000)  # type: ignore[attr-defined]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    with pytest.raises(OutputError, match="room for a complete copy"):
        require_room(path, path.parent)
    with pytest.raises(OutputError):
        collect_in_place(job, on_sample=lambda text: None)
    assert path.read_bytes() == before


def test_the_commands_say_what_they_find(
    cellmark: Callable[..., Any], job: JobFolder, sample: Path, tmp_path: Path
) -> None:
    ran = cellmark("batch", "verify", job.folder)
    assert ran.status == 0
    assert "files as in the receipt of" in ran.out
    ran = cellmark("batch", "reproduce", job.folder, "--shard", "2")
    assert (ran.status, ran.out) == (0, "Shard 2 of cells: the same bytes.\n")
    (job.folder / "inputs" / "more").touch()
    ran = cellmark("batch", "verify", job.folder)
    assert ran.status == 1
    assert "additional: inputs/more" in ran.out
    ran = cellmark("batch", "status", job.folder, "--json")
    assert '"finished": true' in ran.out
    cut = tmp_path / "cut.h5ad"
    cut.write_bytes(sample.read_bytes()[:10_000])
    assert cellmark("batch", "plan", cut, "-m", job.folder / "model", "-o", tmp_path / "broken").status == 0
    ran = cellmark("batch", "run", tmp_path / "broken", "--quiet")
    assert (ran.status, ran.out) == (1, "")
    ran = cellmark("batch", "run", tmp_path)
    assert ran.status == 1
    assert "[JOB_FOLDER_INVALID]" in ran.err
