"""Why a job is not taken, not found, or has no result."""

import re
from typing import Any

from starlette.requests import Request

from cellmark.schemas.errors import Finding, InputError, RequestError, SetupError

from ..limits.body_files import NO_ROOM
from .job_store import Job, JobRecord

KEY = re.compile(r"[\x21-\x7e]{1,255}")


def no_room(error: OSError) -> Exception:
    """A full disk as ours; any other error as it is."""
    if error.errno not in NO_ROOM:
        return error
    return SetupError.of(
        "DISK_FULL",
        where="jobs",
        expected="room for the input in the folder of jobs",
        found="too little",
        remedy="Send it again later. Operators: free the disk of CELLMARK_JOBS, or keep jobs for fewer hours.",
    ).with_headers(Retry_After="60")


def idempotency_key(request: Request) -> str | None:
    """The header `Idempotency-Key`. Raises `RequestError` for text that cannot be such a key."""
    given = request.headers.get("idempotency-key")
    if given is None or KEY.fullmatch(given):
        return given
    raise RequestError.of(
        "REQUEST_INVALID",
        where="Idempotency-Key",
        expected="1 to 255 printable ASCII characters without spaces",
        found="other text",
        remedy="Use a random UUID for each job.",
    )


def refuse_cancelled(job: Job) -> None:
    """Raise `RequestError` (`JOB_CANCELLED`) for a job that was there before and was cancelled."""
    if job.is_cancelled:
        raise RequestError.of(
            "JOB_CANCELLED",
            where="Idempotency-Key",
            expected="the key of a job that was not cancelled",
            found="one that was",
            remedy="Use a new key.",
        )


def refuse_conflict(there: JobRecord, given: JobRecord) -> None:
    """Raise `RequestError` (`IDEMPOTENCY_CONFLICT`) unless both ask the same."""
    if (there.input_digest, there.options) != (given.input_digest, given.options):
        raise RequestError.of(
            "IDEMPOTENCY_CONFLICT",
            where="Idempotency-Key",
            expected="the input and options that this key was used with before",
            found="others",
            remedy="Use a new key for another job.",
        )


def unknown_job() -> RequestError:
    """The job does not exist, or belongs to somebody else: both are answered alike."""
    return RequestError.of(
        "JOB_UNKNOWN",
        where="job",
        expected="the id of a job of this key",
        found="another one",
        remedy="GET /jobs lists your jobs; they are removed after a time.",
    )


def no_result(found: dict[str, Any]) -> RequestError | InputError:
    """Why there is no result."""
    if found["state"] == "refused":
        return InputError(*(Finding(**{**one, "examples": tuple(one["examples"])}) for one in found["findings"]))
    code, remedy = {
        "failed": ("JOB_FAILED", "Send the input again, and report it with the service's log."),
    }.get(found["state"], ("JOB_UNFINISHED", "Ask GET /jobs/{id} for its state."))
    error = RequestError.of(
        code, where="job", expected="a job that is done", found=f"one that is {found['state']}", remedy=remedy
    )
    return error.with_headers(Retry_After="5") if code == "JOB_UNFINISHED" else error
