"""Jobs on disk: what stays, what goes and when."""

import errno
import shutil
import time
from pathlib import Path

import pytest

from cellmark.schemas.errors import SetupError
from cellmark.serving.jobs.job_store import Job, JobRecord, JobStore


def record(job_id: str = "a" * 32, *, since: float = 1000.0, digest: str = "0" * 64) -> JobRecord:
    return JobRecord(job_id, "ann", "2026", since, "x.h5ad", {}, digest, "tiny", None, "0" * 64, "/nowhere")


def add(store: JobStore, given: JobRecord) -> tuple[Job, bool]:
    draft = store.draft()
    (draft / "input" / "x.h5ad").write_text("cells")
    return store.add(draft, given)


def test_of_two_jobs_with_one_id_the_first_stays(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job, is_new = add(store, record(digest="1" * 64))
    again, is_new_again = add(store, record(digest="2" * 64))
    assert (is_new, is_new_again) == (True, False)
    assert again.record.input_digest == "1" * 64
    assert job.input.read_text() == "cells"
    assert [path.name for path in store.folder.iterdir()] == ["a" * 32]


def test_a_job_that_cannot_be_put_in_its_place_is_not_taken_for_an_older_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = JobStore(tmp_path)

    def full(draft: Path, place: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "rename", full)
    with pytest.raises(OSError, match="No space"):
        add(store, record())


def test_a_folder_of_jobs_that_cannot_be_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SetupError, match="SERVICE_FAILED"):
        JobStore(tmp_path / "file")


def test_ids_are_no_paths(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    add(store, record())
    assert store.find("a" * 32) is not None
    for other in ("..", "../jobs", "A" * 32, "a" * 31, "", "a" * 32 + "/"):
        assert store.find(other) is None


def test_old_jobs_and_abandoned_drafts_go(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    old, _ = add(store, record(since=time.time() - 100))
    new, _ = add(store, record("b" * 32, since=time.time()))
    store.draft()
    assert store.sweep(older_than=50) == ["a" * 32]
    assert (old.is_there, new.is_there) == (False, True)
    assert len(list(store.folder.iterdir())) == 2
    store.sweep(older_than=1e6, now=time.time() + 4000)
    assert [path.name for path in store.folder.iterdir()] == ["b" * 32]


def test_what_a_step_writes_for_a_cancelled_job_goes_too(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job, _ = add(store, record(since=time.time()))
    job.cancel()
    with pytest.raises(FileNotFoundError):
        _ = job.input
    job.shard(0).parent.mkdir()
    job.shard(0).write_text("calls")
    store.sweep(older_than=1e6)
    assert not job.shard(0).parent.exists()
    assert job.is_cancelled


def test_a_removed_job_does_not_come_back(tmp_path: Path) -> None:
    store = JobStore(tmp_path)
    job, _ = add(store, record())
    shutil.rmtree(job.folder)
    job.write("plan", {"n_cells": 1})
    assert not job.folder.exists()
