"""Parts of the OpenAPI document that several routes share."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel

from cellmark.schemas.api.request_cells import EXPECTED as NPZ_CONTENT
from cellmark.schemas.cells.read_arrow import EXPECTED as ARROW_CONTENT
from cellmark.schemas.error_codes import CODES

from .answer_types import ARROW, CSV, HDF5, JSON, PARQUET
from .problems import PROBLEM_JSON
from .receive import ANY_FILE, ARROW_FILE, FILE_FIELD, MULTIPART, NPZ
from .settings import ServiceSettings

EXAMPLE = {
    "genes": ["MS4A1", "CD79A", "CD3D"],
    "cells": [{"cell_id": "cell-1", "counts": {"MS4A1": 3, "CD79A": 5}, "library_size": 2421}],
}
ANSWER_HEADERS = {
    "X-Cellmark-Audit": {
        "description": "Number and hash of the answer's row, where the service keeps an audit log.",
        "schema": {"type": "string"},
    },
    "X-Cellmark-Receipt": {
        "description": "The receipt as JSON, of an answer that is not JSON itself.",
        "schema": {"type": "string"},
    },
}


def reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def answer(model: type[BaseModel]) -> dict[str, Any]:
    """A JSON answer."""
    return {"description": (model.__doc__ or "").strip(), "content": {JSON: {"schema": reference(model)}}}


def with_tables(told: dict[str, Any], *more: str) -> dict[str, Any]:
    """A JSON answer that can also be had as a table, or as `more`."""
    file = {"schema": {"type": "string", "format": "binary"}}
    content = {**told["content"], CSV: {"schema": {"type": "string"}}, PARQUET: file, ARROW: file}
    return {**told, "content": content | dict.fromkeys(more, file)}


def plain(description: str) -> dict[str, Any]:
    """An answer in plain text."""
    return {"description": description, "content": {"text/plain": {"schema": {"type": "string"}}}}


def refusals(codes: Iterable[str]) -> dict[str, Any]:
    """Answers by status, each with the codes that it may carry."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code].status, []).append(code)
    schema = {"$ref": "#/components/schemas/Problem"}
    return {
        str(status): {
            "description": "\n".join(f"- `{code}`: {CODES[code].meaning}" for code in listed),
            "content": {PROBLEM_JSON: {"schema": schema}},
        }
        for status, listed in sorted(by_status.items())
    }


def parameters(options: type[BaseModel]) -> list[dict[str, Any]]:
    """A route's query parameters."""
    listed = []
    for name, schema in _properties(options).items():
        kept = {key: value for key, value in schema.items() if key != "description"}
        listed.append(
            {"name": name, "in": "query", "required": False, "description": schema["description"], "schema": kept}
        )
    return listed


def cells_body(options: type[BaseModel], settings: ServiceSettings) -> dict[str, Any]:
    """The body of a route that takes cells."""
    forms = [{"$ref": "#/components/schemas/CellsRequest"}, {"$ref": "#/components/schemas/CsrRequest"}]
    # Swagger UI shows a file input for this format, and a text box for JSON Schema's `contentMediaType`.
    file = {"type": "string", "format": "binary", "description": "An .h5ad, a 10x .h5 or an .npz."}
    form = {
        "type": "object",
        "required": [FILE_FIELD],
        # Without defaults, which the page would send in the form beside those of the query.
        "properties": {FILE_FIELD: file, **_properties(options, defaults=False)},
        "additionalProperties": False,
    }

    def binary(description: str) -> dict[str, Any]:
        return {"schema": {"type": "string", "format": "binary", "description": description}}

    return {
        "required": True,
        "description": f"Cells. JSON of at most {settings.max_json_bytes:,} bytes, a file of at most "
        f"{settings.max_upload_bytes:,}; an .npz of at most {settings.max_unpacked_bytes:,} when unpacked. "
        f"A file holds at most {settings.max_cells:,} cells, {settings.max_genes:,} genes and "
        f"{settings.max_nonzeros:,} values.",
        "content": {
            JSON: {"schema": {"oneOf": forms}, "example": EXAMPLE},
            MULTIPART: {"schema": form},
            HDF5: binary("An .h5ad or a 10x .h5, distinguished by their content."),
            ARROW: binary(f"A stream of Arrow IPC: {ARROW_CONTENT}."),
            ARROW_FILE: binary(f"A file of Arrow IPC: {ARROW_CONTENT}."),
            NPZ: binary(f"{NPZ_CONTENT[0].upper()}{NPZ_CONTENT[1:]}: the CSR form."),
            ANY_FILE: binary("Any of the files, distinguished by their content."),
        },
    }


def _properties(options: type[BaseModel], *, defaults: bool = True) -> dict[str, Any]:
    """Schemas of the options. One that may be omitted is never null: a query has no such value."""
    properties: dict[str, Any] = options.model_json_schema()["properties"]
    return {name: _without_null(schema, defaults=defaults) for name, schema in properties.items()}


def _without_null(schema: dict[str, Any], *, defaults: bool) -> dict[str, Any]:
    omitted = {"title"} if defaults and schema["default"] is not None else {"title", "default"}
    kept = {key: value for key, value in schema.items() if key not in omitted}
    choices = kept.pop("anyOf", None)
    if choices is None:
        return kept
    return {**kept, **next(choice for choice in choices if choice != {"type": "null"})}
