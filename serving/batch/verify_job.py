"""Whether every byte of a finished job is the one that its receipt names, and whether a shard scores the same again."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cellmark.schemas.errors import ParameterError

from ..annotator import Annotator
from .finish_job import files_of, manifest_digest
from .input_digest import digest_input
from .job_folder import JobFolder, written
from .job_records import JobInput, JobManifest, WrittenFile
from .score_shard import score_shard
from .settle_calls import SHIFT, settle_shard


@dataclass(frozen=True)
class Difference:
    """`path`: of a file in the job's folder, of an output or an input."""

    path: str
    what: Literal["changed", "missing", "additional"]


def verify_job(job: JobFolder, on_file: Callable[[str], None] = lambda path: None) -> list[Difference]:
    """All that is not as the receipt says: none where everything is. Inputs are read again as well.

    `on_file`: is called before each file. Raises `ParameterError` (`JOB_UNFINISHED`) for a job without a receipt.
    """
    manifest = finished(job)
    found: list[Difference] = []
    if manifest_digest(manifest) != manifest.digest:
        found.append(Difference("manifest.json", "changed"))
    there = set(files_of(job))
    found += [Difference(path, "additional") for path in sorted(there - set(manifest.files))]
    for path, wanted in manifest.files.items():
        on_file(path)
        found += _compared(path, job.folder / path, wanted)
    for name, wanted in manifest.outputs.items():
        on_file(name)
        found += _compared(name, (job.outputs or job.folder) / name, wanted)
    for sample in job.spec.inputs:
        if sample.name in manifest.inputs:
            on_file(sample.path)
            found += _input(sample, manifest.inputs[sample.name])
    return found


def finished(job: JobFolder) -> JobManifest:
    """The receipt of a job. Raises `ParameterError` (`JOB_UNFINISHED`) where there is none yet."""
    manifest = job.manifest
    if manifest is None:
        raise ParameterError.of(
            "JOB_UNFINISHED",
            where=str(job.folder),
            expected="a job that has come to its end",
            found="one without a manifest.json",
            remedy=f"Finish it: cellmark batch run {job.folder}",
        )
    return manifest


def _compared(name: str, path: Path, wanted: WrittenFile) -> Iterator[Difference]:
    if not path.exists():
        yield Difference(name, "missing")
    elif (path.is_file() and path.stat().st_size != wanted.bytes) or written(path) != wanted:
        yield Difference(name, "changed")


def _input(sample: JobInput, wanted: str) -> Iterator[Difference]:
    try:
        if digest_input(Path(sample.path)) != wanted:
            yield Difference(sample.path, "changed")
    except OSError:
        yield Difference(sample.path, "missing")


def find_shard(job: JobFolder, text: str) -> tuple[JobInput, int]:
    """`3`, of the first sample, or `liver:3`. Raises `ParameterError` for what is no shard."""
    name, _, number = text.rpartition(":")
    wanted = name or job.spec.inputs[0].name
    sample = next((one for one in job.spec.inputs if one.name == wanted), None)
    plan = None if sample is None else job.plan(sample.name)
    if sample is None or plan is None or not number.isdigit() or int(number) >= len(plan.shards):
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="shard",
            expected="the number of a shard, from 0, or SAMPLE:NUMBER",
            found=repr(text),
            remedy=f"See which there are: cellmark batch status {job.folder}",
        )
    return sample, int(number)


def reproduce_shard(job: JobFolder, sample: JobInput, number: int, annotator: Annotator) -> list[Difference]:
    """Score a shard again, elsewhere, and compare what is written bit for bit with what the job holds.

    Raises `ParameterError` for a shard that was not scored, and what scoring raises.
    """
    plan, record = job.plan(sample.name), job.record(sample.name, number)
    if plan is None or record is None or record.state != "scored":
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where="shard",
            expected=f"a scored shard of {sample.name}",
            found=str(number),
            remedy=f"See which there are: cellmark batch status {job.folder}",
        )
    with tempfile.TemporaryDirectory(prefix="cellmark-reproduce-") as scratch:
        shutil.copyfile(job.folder / "job.json", Path(scratch) / "job.json")
        elsewhere = JobFolder(Path(scratch))
        again = score_shard(elsewhere, sample, plan, number, annotator)
        if SHIFT in record.facts and again.state == "scored":
            again = settle_shard(elsewhere, sample, number, again, record.facts[SHIFT], annotator)
    if again.findings:
        raise ParameterError(*again.findings)
    return [
        Difference(name, "changed" if name in again.files else "missing")
        for name, wanted in record.files.items()
        if again.files.get(name) != wanted
    ]
