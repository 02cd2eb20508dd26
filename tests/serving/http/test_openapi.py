"""The one OpenAPI document is valid, and describes every route that is really mounted, and no other."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from cellmark.schemas.error_codes import CODES
from cellmark.serving.app import make_app
from cellmark.serving.http.openapi import openapi_document
from cellmark.serving.http.options import (
    AnnotateOptions,
    AttributeOptions,
    MapOptions,
    MarkersOptions,
    ModelOptions,
    ValidateOptions,
)
from cellmark.serving.http.receive import MEDIA_TYPES
from cellmark.serving.http.served_model import ServedModel
from cellmark.serving.http.settings import ServiceSettings
from fixtures.places import ROOT

SETTINGS = ServiceSettings(max_json_bytes=12_345_678, max_upload_bytes=23_456_789)
STATIC = "/static_content"
"""Files of BentoML's copy of Swagger UI."""

MOUNTED = """
import json
from starlette.routing import Mount, Route
from cellmark.serving.service import CellmarkService

def walk(routes, prefix=""):
    for route in routes:
        if isinstance(route, Route):
            yield prefix + route.path, sorted(route.methods or [])
        elif isinstance(route, Mount):
            inner = list(walk(getattr(route.app, "routes", []) or [], prefix + route.path))
            yield from inner or [(prefix + route.path, [])]

print(json.dumps(list(walk(CellmarkService.to_asgi().routes))))
"""


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return json.loads(json.dumps(openapi_document(SETTINGS)))  # as it is served


@pytest.fixture(scope="module")
def mounted(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, list[str]]]:
    """Paths and methods of the real application, BentoML's own routes among them."""
    environment = {**os.environ, "BENTOML_HOME": str(tmp_path_factory.mktemp("bentoml"))}
    answer = subprocess.run(
        [sys.executable, "-c", MOUNTED], env=environment, capture_output=True, text=True, timeout=120, check=True
    )
    return [(path, methods) for path, methods in json.loads(answer.stdout.splitlines()[-1])]


def operations(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(path, method.upper()) for path, item in document["paths"].items() for method in item}


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(document).validate()


def test_it_describes_exactly_the_routes_that_are_mounted(
    document: dict[str, Any], mounted: list[tuple[str, list[str]]]
) -> None:
    real = {(path, method) for path, methods in mounted for method in methods if method != "HEAD"}
    assert (STATIC, []) in mounted
    assert operations(document) == real


def test_our_routes_come_before_those_of_the_same_path_of_bentoml(mounted: list[tuple[str, list[str]]]) -> None:
    paths = [path for path, _ in mounted]
    ours = [route.path for route in make_app(ServedModel(), SETTINGS).routes]  # type: ignore[attr-defined]
    start = paths.index(ours[0])
    assert paths[start : start + len(ours)] == ours
    twice = {path for path in paths if paths.count(path) > 1}
    assert twice == {"/", "/docs.json"}
    assert twice <= set(ours)
    assert not twice & set(paths[:start])


def test_every_post_route_takes_every_media_type(document: dict[str, Any]) -> None:
    posts = [item["post"] for item in document["paths"].values() if "post" in item]
    posts = [operation for operation in posts if {"cells", "named models"} & set(operation["tags"])]
    assert len(posts) == 12
    for operation in posts:
        assert set(operation["requestBody"]["content"]) == set(MEDIA_TYPES)
        assert {"400", "413", "415", "422", "500", "503"} <= set(operation["responses"])


def test_every_refusal_is_a_problem_of_a_code_with_that_status(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) < 400:
                    continue
                assert list(response["content"]) == ["application/problem+json"]
                codes = re.findall(r"`([A-Z_]+)`", response["description"])
                assert codes
                assert {CODES[code].status for code in codes} == {int(status)}


@pytest.mark.parametrize(
    ("path", "method", "options"),
    [
        ("/annotate", "post", AnnotateOptions),
        ("/attribute", "post", AttributeOptions),
        ("/map", "post", MapOptions),
        ("/validate", "post", ValidateOptions),
        ("/model", "get", ModelOptions),
        ("/markers", "get", MarkersOptions),
    ],
)
def test_every_option_of_a_route_is_a_described_parameter(
    document: dict[str, Any], path: str, method: str, options: Any
) -> None:
    operation = document["paths"][path][method]
    assert {entry["name"] for entry in operation["parameters"]} == set(options.model_fields)
    assert all(entry["description"] for entry in operation["parameters"])
    if method == "post":
        form = operation["requestBody"]["content"]["multipart/form-data"]["schema"]
        assert set(form["properties"]) == {"file", *options.model_fields}


def test_a_browser_is_shown_a_file_input_and_empty_options(document: dict[str, Any]) -> None:
    """Swagger UI takes `format: binary` for a file, and `contentMediaType` for text; a default it would fill in and
    send in both the query and the form, which is refused.
    """
    for path in ("/annotate", "/attribute", "/map", "/validate"):
        content = document["paths"][path]["post"]["requestBody"]["content"]
        fields = content["multipart/form-data"]["schema"]["properties"]
        file = fields.pop("file")
        assert (file["type"], file["format"]) == ("string", "binary")
        assert not [name for name, schema in fields.items() if "default" in schema]
        for kind in ("application/x-hdf5", "application/x-npz", "application/octet-stream"):
            assert content[kind]["schema"]["format"] == "binary"


def test_the_limits_are_those_of_the_settings(document: dict[str, Any]) -> None:
    description = document["paths"]["/annotate"]["post"]["requestBody"]["description"]
    assert "12,345,678" in description
    assert "23,456,789" in description
    assert "1,000,000 cells, 500,000 genes" in description


def test_the_example_is_a_body_of_exactly_one_form(document: dict[str, Any]) -> None:
    content = document["paths"]["/annotate"]["post"]["requestBody"]["content"]["application/json"]
    validator = Draft202012Validator({**content["schema"], "components": document["components"]})
    validator.validate(content["example"])
    assert not validator.is_valid({**content["example"], "indptr": [0]})
    assert not validator.is_valid({"cells": [{"cell_id": "a", "counts": {"A": "3"}}]})


def test_every_schema_is_used_or_described(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    for name, schema in document["components"]["schemas"].items():
        assert f'"#/components/schemas/{name}"' in text
        assert schema.get("description"), name


def test_the_document_names_no_folder_of_this_machine(document: dict[str, Any]) -> None:
    assert str(ROOT) not in json.dumps(document)
