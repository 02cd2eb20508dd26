"""The routes of jobs in the OpenAPI document."""

from openapi_spec_validator import OpenAPIV31SpecValidator

from cellmark.schemas.error_codes import CODES
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.jobs.document import BODY_CODES, LOOK_CODES, RESULT_CODES, DescribeJobs


def test_the_document_with_jobs_is_valid_and_names_every_route() -> None:
    document = openapi_document(ServiceSettings())
    before = set(document["paths"])
    DescribeJobs(ServiceSettings())(document)
    OpenAPIV31SpecValidator(document).validate()
    methods = {path: set(operations) for path, operations in document["paths"].items() if path not in before}
    assert methods == {"/jobs": {"post", "get"}, "/jobs/{id}": {"get", "delete"}, "/jobs/{id}/result": {"get"}}
    assert {*BODY_CODES, *LOOK_CODES, *RESULT_CODES} <= set(CODES)
    for operations in (document["paths"][path] for path in methods):
        for operation in operations.values():
            assert operation["tags"] == ["jobs"]
            assert "500" in operation["responses"]
