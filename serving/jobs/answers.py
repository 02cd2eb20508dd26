"""What the routes of jobs answer."""

from typing import Any, Literal

from pydantic import Field

from cellmark.schemas.api.responses import Answer, FindingAnswer, SampleShiftAnswer
from cellmark.schemas.audit.receipt import Receipt

from .job_store import Job

State = Literal["queued", "running", "done", "refused", "failed", "cancelled"]
FAILED = ("ERROR", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
"""What DBOS says of jobs that it gave up."""
ENDED = ("done", "refused", "failed", "cancelled")


class JobResult(Answer):
    """The file that `GET /jobs/{id}/result` gives."""

    sha256: str
    bytes: int


class JobAnswer(Answer):
    """A job. `n_cells`: null until the input was read. `n_cells_done`: in the shards that are scored. `findings`: why
    the input was refused, or notes on it. `sample_shift`: of a done job with `as_sample`, see `SampleShiftAnswer`.
    `receipt`: once it is done.
    """

    id: str
    state: State
    created: str
    input_name: str
    input_digest: str
    options: dict[str, str]
    model: str
    model_version: str | None
    bundle_digest: str
    n_cells: int | None
    n_cells_done: int
    findings: list[FindingAnswer]
    sample_shift: SampleShiftAnswer | None = None
    result: JobResult | None
    receipt: Receipt | None = Field(
        default=None, description="Receipt of the result, as an answer of `/annotate` has one."
    )


class JobsAnswer(Answer):
    """Jobs, the latest first, at most 100."""

    jobs: list[JobAnswer]


def state_of(job: Job, engine_status: str | None) -> State:
    """Where a job is: what its files say; of one that has not ended, what DBOS does."""
    if job.is_cancelled:
        return "cancelled"
    if job.has("manifest"):
        return "done"
    if job.has("refused"):
        return "refused"
    if engine_status in FAILED:
        return "failed"
    if job.has("plan") or engine_status == "PENDING":
        return "running"
    return "queued"


def describe(job: Job, engine_status: str | None) -> dict[str, Any]:
    """The answer of `GET /jobs/{id}`. Raises `FileNotFoundError` for a job that is gone."""
    record, state = job.record, state_of(job, engine_status)
    plan, manifest, refused = job.read("plan"), job.read("manifest"), job.read("refused")
    n_done = 0
    if plan is not None:
        shards = enumerate(plan["shards"])
        n_done = plan["n_cells"] if manifest else sum(b - a for number, (a, b) in shards if job.shard(number).exists())
    findings = refused["findings"] if refused else (manifest or plan or {}).get("notes", [])
    is_done = state == "done" and manifest is not None
    return {
        "id": record.id,
        "state": state,
        "created": record.created,
        "input_name": record.name,
        "input_digest": record.input_digest,
        "options": record.options,
        "model": record.model,
        "model_version": record.model_version,
        "bundle_digest": record.bundle_digest,
        "n_cells": None if plan is None else plan["n_cells"],
        "n_cells_done": n_done,
        "findings": findings,
        "sample_shift": manifest.get("sample_shift") if is_done and manifest else None,
        "result": manifest["result"] if is_done and manifest else None,
        "receipt": manifest["receipt"] if is_done and manifest else None,
    }
