"""The one OpenAPI 3.1 document: every route, body, answer and error of the service, from the models that it uses."""

from importlib.metadata import version
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cellmark.schemas.api.map_responses import MapAnswer
from cellmark.schemas.api.requests import CellsRequest, CsrRequest
from cellmark.schemas.api.responses import (
    AnnotateAnswer,
    AttributeAnswer,
    MarkersAnswer,
    ModelAnswer,
    Problem,
    SparseAttributeAnswer,
    ValidateAnswer,
)
from cellmark.schemas.error_codes import CODES

from .answer_types import HDF5, JSON
from .openapi_oip import oip_paths
from .openapi_pages import page_paths
from .openapi_parts import ANSWER_HEADERS, answer, cells_body, parameters, plain, reference, refusals, with_tables
from .openapi_versions import ANSWERS as VERSION_ANSWERS
from .openapi_versions import of_named_models, version_paths
from .options import AnnotateOptions, AttributeOptions, MapOptions, MarkersOptions, ModelOptions, ValidateOptions
from .settings import ServiceSettings

ANSWERS: tuple[type[BaseModel], ...] = (
    *VERSION_ANSWERS,
    AnnotateAnswer,
    AttributeAnswer,
    SparseAttributeAnswer,
    MapAnswer,
    ValidateAnswer,
    ModelAnswer,
    MarkersAnswer,
    Problem,
)
REQUESTS: tuple[type[BaseModel], ...] = (CellsRequest, CsrRequest)

INPUT_CODES = (
    "REQUEST_INVALID",
    "REQUEST_TOO_LARGE",
    "MEDIA_TYPE_UNSUPPORTED",
    "FILE_FORMAT_UNKNOWN",
    "FILE_UNREADABLE",
    "INPUT_TOO_LARGE",
    "SERVICE_FAILED",
    "NOT_ANNDATA",
    "LAYER_UNKNOWN",
    "NO_CELLS",
    "NO_GENES",
    "MATRIX_INVALID",
    "CELL_ID_DUPLICATE",
    "CELL_EMPTY",
    "MATRIX_TRANSPOSED",
    "FEATURES_NOT_GENES",
    "FEATURE_TYPES_UNKNOWN",
    "COUNTS_UNKNOWN_NAMES",
    "COUNTS_NEGATIVE",
    "COUNTS_NAN",
    "COUNTS_INFINITE",
    "COUNTS_NOT_WHOLE",
    "COUNTS_TOO_LARGE",
    "COUNTS_NOT_RAW",
    "COUNTS_NOT_RECOVERABLE",
    "COUNTS_NOT_NORMALISED",
    "LIBRARY_SIZE_NEEDED",
    "LIBRARY_SIZE_INVALID",
    "LIBRARY_SIZE_COLUMN_UNKNOWN",
    "NO_GENES_SHARED",
    "TOO_FEW_GENES",
    "GENES_INSUFFICIENT",
    "ORGANISM_MISMATCH",
    "GENE_UNKNOWN_KEY",
    "PARAMETER_INVALID",
)
VALIDATE_CODES = (
    "REQUEST_INVALID",
    "REQUEST_TOO_LARGE",
    "MEDIA_TYPE_UNSUPPORTED",
    "PARAMETER_INVALID",
    "SERVICE_FAILED",
)
ALWAYS = ("INTERNAL_ERROR",)
NEEDS_MODEL = ("SERVICE_NOT_READY", *ALWAYS)

DESCRIPTION = """Names the type of every cell, shows the genes behind each call, and says what is wrong with an input.

Cells are **raw counts**, or ln(1 + counts per 10,000), which is recognised. They come as JSON (by gene name, or as a
CSR matrix), as a file in a form (`curl -F file=@new.h5ad`), or as a file that is the whole body
(`curl --data-binary @new.h5ad -H 'Content-Type: application/x-hdf5'`); `Content-Type` says which. Options are query
parameters; in a form they may be fields of the form instead. An option that is unknown, or given in both places, is
refused.

Every refusal is `application/problem+json` (RFC 9457) with a stable `code` and all problems at once in `findings`. Any
path that is not listed here answers 404 (`ROUTE_UNKNOWN`), and any method that a path does not list 405
(`METHOD_NOT_ALLOWED`, with the header `Allow`)."""


def openapi_document(settings: ServiceSettings) -> dict[str, Any]:
    """The document. Its limits are those of `settings`."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "cellmark",
            "version": version("cellmark"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": "cells", "description": "Routes that take cells."},
            {"name": "model", "description": "What is known about the model."},
            {"name": "inference protocol", "description": "The Open Inference Protocol, version 2."},
            {
                "name": "named models",
                "description": "The same routes for a model by its name, and for a version of it.",
            },
            {"name": "administration", "description": "Which versions are served."},
            {"name": "server", "description": "For balancers, monitoring and browsers."},
        ],
        "paths": _paths(settings),
        "components": {"schemas": _schemas()},
    }


def _schemas() -> dict[str, Any]:
    requests = [(model, "validation") for model in REQUESTS]
    answers = [(model, "serialization") for model in ANSWERS]
    _, definitions = models_json_schema([*requests, *answers], ref_template="#/components/schemas/{model}")  # type: ignore[list-item]
    schemas: dict[str, Any] = definitions["$defs"]
    schemas["Problem"]["properties"]["code"]["enum"] = list(CODES)
    return schemas


def _paths(settings: ServiceSettings) -> dict[str, Any]:
    def post(
        name: str,
        summary: str,
        options: type[BaseModel],
        told: type[BaseModel],
        codes: tuple[str, ...],
        answered: dict[str, Any],
    ) -> Any:
        return {
            "post": {
                "operationId": name,
                "tags": ["cells"],
                "summary": summary,
                "description": (told.__doc__ or "").strip(),
                "parameters": parameters(options),
                "requestBody": cells_body(options, settings),
                "responses": {
                    "200": {**answered, "headers": ANSWER_HEADERS},
                    **refusals((*codes, "NOT_ACCEPTABLE", *NEEDS_MODEL, "AUDIT_UNAVAILABLE")),
                },
            }
        }

    def get(name: str, summary: str, responses: dict[str, Any], **more: Any) -> Any:
        return {"get": {"operationId": name, "summary": summary, "responses": responses, **more}}

    model, server = {"tags": ["model"]}, {"tags": ["server"]}
    explain_codes = (*INPUT_CODES, "CELL_TYPE_UNKNOWN")
    explained = answer(AttributeAnswer)
    explained["content"][JSON] = {"schema": {"oneOf": [reference(AttributeAnswer), reference(SparseAttributeAnswer)]}}
    marker_answer = answer(MarkersAnswer)
    marker_answer["content"]["text/csv"] = {"schema": {"type": "string"}}
    document = json_document("This document.")
    markers = {
        "200": marker_answer,
        **refusals(("PARAMETER_INVALID", "CELL_TYPE_UNKNOWN", "NOT_ACCEPTABLE", *NEEDS_MODEL)),
    }
    facts = {"200": answer(ModelAnswer), **refusals(("PARAMETER_INVALID", *NEEDS_MODEL))}
    ready = {
        "200": plain("The model has passed its self-test."),
        **refusals(("SERVICE_NOT_READY", "AUDIT_UNAVAILABLE")),
    }
    of_a_model = {
        "/annotate": post(
            "annotate",
            "Name the type of every cell",
            AnnotateOptions,
            AnnotateAnswer,
            INPUT_CODES,
            with_tables(answer(AnnotateAnswer), HDF5),
        ),
        "/attribute": post(
            "attribute",
            "Show the genes behind each call",
            AttributeOptions,
            AttributeAnswer,
            explain_codes,
            with_tables(explained),
        ),
        "/map": post(
            "map",
            "Name the type of every cell, and give each a place on a map",
            MapOptions,
            MapAnswer,
            INPUT_CODES,
            answer(MapAnswer),
        ),
        "/validate": post(
            "validate",
            "Report everything that is wrong or unusual about an input",
            ValidateOptions,
            ValidateAnswer,
            VALIDATE_CODES,
            answer(ValidateAnswer),
        ),
        "/model": get(
            "model", "What the model is and how well it did", facts, parameters=parameters(ModelOptions), **model
        ),
        "/markers": get("markers", "The model's marker genes", markers, parameters=parameters(MarkersOptions), **model),
        "/report": get(
            "report",
            "The model's report, a page for people",
            {
                "200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
                **refusals(("REPORT_MISSING", "PARAMETER_INVALID", *NEEDS_MODEL)),
            },
            **model,
        ),
    }
    return {
        **of_a_model,
        **of_named_models(of_a_model),
        **version_paths(),
        **oip_paths(INPUT_CODES),
        "/livez": get("livez", "Whether the server is alive", {"200": plain("The server is alive.")}, **server),
        "/healthz": get("healthz", "The same as /livez", {"200": plain("The server is alive.")}, **server),
        "/readyz": get("readyz", "Whether the model is ready to answer", ready, **server),
        "/metrics": get("metrics", "Metrics for Prometheus", {"200": plain("Prometheus' text format.")}, **server),
        "/openapi.json": get("openapi", "This document", {**document, **refusals(ALWAYS)}, **server),
        "/docs.json": get(
            "docs", "This document, where BentoML's tools look for it", {**document, **refusals(ALWAYS)}, **server
        ),
        "/schema.json": get("schema", "BentoML's list of routes", json_document("BentoML's list."), **server),
        **page_paths(),
    }


def json_document(description: str) -> dict[str, Any]:
    """An answer of JSON that no model describes."""
    return {"200": {"description": description, "content": {"application/json": {"schema": {"type": "object"}}}}}
