"""The document names the headers that every answer may have, and stays valid with all that parts add to it."""

from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.openapi_observe import describe_observing
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.observe.route_names import PROBES
from cellmark.serving.service_parts import service_parts


def headers_of(path: str) -> set[str]:
    return {"X-Request-ID"} if path in PROBES else {"X-Request-ID", "traceparent"}


def check(document: dict[str, Any]) -> None:
    assert not list(OpenAPIV31SpecValidator(document).iter_errors())
    assert set(document["paths"]) >= PROBES
    for path, operations in document["paths"].items():
        for operation in operations.values():
            asked = {entry["name"] for entry in operation["parameters"] if entry["in"] == "header"}
            assert asked >= headers_of(path)
            for answer in operation["responses"].values():
                assert {"X-Request-ID", "traceparent"} & set(answer["headers"]) == headers_of(path)


def test_every_operation_takes_and_gives_an_id_and_probes_no_trace() -> None:
    document = openapi_document(ServiceSettings())
    describe_observing(document)
    check(document)


def test_the_document_of_the_service_is_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CELLMARK_STATE", str(tmp_path))
    settings = ServiceSettings()
    document = openapi_document(settings)
    for describe in service_parts(settings).documents:
        describe(document)
    check(document)
