"""What the document says of limits is said once, and of every route that has them."""

from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.openapi_limits import TIMEOUT, describe_limits
from cellmark.serving.http.settings import ServiceSettings


def test_a_route_that_takes_a_timeout_may_refuse_it_and_no_code_stands_twice() -> None:
    document = openapi_document(ServiceSettings())
    describe_limits(document)
    seen = 0
    for item in document["paths"].values():
        for operation in item.values():
            for answer in operation["responses"].values():
                lines = answer["description"].splitlines()
                assert len(lines) == len(set(lines))
            if TIMEOUT in operation.get("parameters", ()):
                assert "`REQUEST_INVALID`" in operation["responses"]["400"]["description"]
                seen += 1
    assert seen >= 3
