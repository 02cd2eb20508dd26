"""What the OpenAPI document says of the routes of jobs."""

from typing import Any

from pydantic.json_schema import models_json_schema

from ..http.openapi import INPUT_CODES, NEEDS_MODEL
from ..http.openapi_parts import answer, cells_body, parameters, refusals
from ..http.settings import ServiceSettings
from .answers import JobAnswer, JobsAnswer
from .routes import PARQUET, JobOptions

JOB_ID = {
    "name": "id",
    "in": "path",
    "required": True,
    "description": "Id of the job.",
    "schema": {"type": "string"},
}
IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Sent again with the same key, a job is not begun again but answered as it stands.",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,255}$"},
}
BODY_CODES = (
    "REQUEST_INVALID",
    "REQUEST_TOO_LARGE",
    "MEDIA_TYPE_UNSUPPORTED",
    "FILE_NOT_FOUND",
    "PARAMETER_INVALID",
    "IDEMPOTENCY_CONFLICT",
    "JOB_CANCELLED",
    "DISK_FULL",
    "CLIENT_GONE",
    "AUDIT_UNAVAILABLE",
    *NEEDS_MODEL,
)
RESULT_CODES = ("JOB_UNFINISHED", "JOB_FAILED")
LOOK_CODES = ("JOB_UNKNOWN", "PARAMETER_INVALID", "INTERNAL_ERROR")


class DescribeJobs:
    """Adds the routes to a document."""

    def __init__(self, settings: ServiceSettings) -> None:
        self._settings = settings

    def __call__(self, document: dict[str, Any]) -> None:
        """Change `document`."""
        models: list[Any] = [(JobAnswer, "serialization"), (JobsAnswer, "serialization")]
        _, definitions = models_json_schema(models, ref_template="#/components/schemas/{model}")
        document["components"]["schemas"] |= definitions["$defs"]
        document["tags"].append({"name": "jobs", "description": "Inputs that are too large for one request."})
        job = answer(JobAnswer)
        location = {"Location": {"description": "Of the job.", "schema": {"type": "string"}}}
        file = {"schema": {"type": "string", "format": "binary"}}
        result = {"description": "The calls, as a Parquet file.", "content": {PARQUET: file}}
        given = {"202": {**job, "headers": location}, "200": {**job, "headers": location}, **refusals(BODY_CODES)}
        fetched = {"200": result, **refusals(sorted({*RESULT_CODES, *LOOK_CODES, *INPUT_CODES, "AUDIT_UNAVAILABLE"}))}
        document["paths"] |= {
            "/jobs": {
                "post": {
                    **_operation("postJob", "Annotate an input in the background"),
                    "parameters": [*parameters(JobOptions), IDEMPOTENCY],
                    "requestBody": {**cells_body(JobOptions, self._settings), "required": False},
                    "responses": given,
                },
                "get": {
                    **_operation("listJobs", "The caller's jobs"),
                    "responses": {"200": answer(JobsAnswer), **refusals(("PARAMETER_INVALID", "INTERNAL_ERROR"))},
                },
            },
            "/jobs/{id}": {
                "get": {
                    **_operation("getJob", "Where a job is"),
                    "parameters": [JOB_ID],
                    "responses": {"200": job, **refusals(LOOK_CODES)},
                },
                "delete": {
                    **_operation("cancelJob", "Cancel a job, and remove its input and its result"),
                    "parameters": [JOB_ID],
                    "responses": {"200": job, **refusals((*LOOK_CODES, "AUDIT_UNAVAILABLE"))},
                },
            },
            "/jobs/{id}/result": {
                "get": {
                    **_operation("getJobResult", "The calls of a job that is done"),
                    "parameters": [JOB_ID],
                    "responses": fetched,
                },
            },
        }


def _operation(name: str, summary: str) -> dict[str, Any]:
    return {"operationId": name, "tags": ["jobs"], "summary": summary}
