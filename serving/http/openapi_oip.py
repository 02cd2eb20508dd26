"""The Open Inference Protocol's routes in the OpenAPI document."""

from typing import Any

from .answer_types import JSON
from .oip import BINARY, EXTENSIONS, PREFIX
from .oip_tensors import NUMBERS, TEXT
from .openapi_parts import plain, refusals

UNREADY = ("SERVICE_NOT_READY", "INTERNAL_ERROR")
UNKNOWN = ("MODEL_UNKNOWN", *UNREADY)
TEXT_OR_NUMBER = {"type": ["string", "number", "boolean"]}
PARAMETERS = {"type": "object", "description": "Only binary_data, binary_data_size and binary_data_output are read."}
TAG = "inference protocol"
HEADER = "Inference-Header-Content-Length"


def oip_paths(cells_codes: tuple[str, ...]) -> dict[str, Any]:
    """Paths of the document. `cells_codes`: refusals of a route that takes cells."""
    of_version = {"name": "version", "in": "path", "required": True, "schema": {"type": "string"}}
    of_name = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
    server = _object(name=_text(), version=_text(), extensions={"type": "array", "items": {"enum": EXTENSIONS}})
    live, ready = _object(live={"const": True}), _object(ready={"const": True})
    paths: dict[str, Any] = {
        f"{PREFIX}/health/live": _get("oip_live", "Whether the server is alive", live, ()),
        f"{PREFIX}/health/ready": _get("oip_ready", "Whether the model is ready", ready, UNREADY),
    }
    for path, name in ((PREFIX, "oip_server"), (f"{PREFIX}/", "oip_server_root")):
        paths[path] = _get(name, "Name, version and extensions of the server", server, ())
    for suffix, parameters in (("", [of_name]), ("/versions/{version}", [of_name, of_version])):
        path, name = f"{PREFIX}/models/{{name}}{suffix}", "_version" if suffix else ""
        paths[path] = _get(f"oip_model{name}", "Inputs and outputs of the model", _metadata(), UNKNOWN)
        named = _object(name=_text(), ready={"const": True})
        paths[f"{path}/ready"] = _get(f"oip_model_ready{name}", "Whether this model is ready", named, UNKNOWN)
        paths[f"{path}/infer"] = {"post": _infer(f"oip_infer{name}", cells_codes)}
        for part in (path, f"{path}/ready", f"{path}/infer"):
            for operation in paths[part].values():
                operation["parameters"] = [*parameters, *operation.get("parameters", ())]
    return paths


def _text() -> dict[str, Any]:
    return {"type": "string"}


def _object(*optional: str, **properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "properties": properties, "required": required}


def _get(name: str, summary: str, schema: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    answered = {"description": summary, "content": {JSON: {"schema": schema}}}
    return {"get": {"operationId": name, "tags": [TAG], "summary": summary, "responses": _answers(answered, codes)}}


def _answers(answered: dict[str, Any], codes: tuple[str, ...]) -> dict[str, Any]:
    return {"200": answered, **refusals(codes or ("INTERNAL_ERROR",))}


def _metadata() -> dict[str, Any]:
    tensors = {"type": "array", "items": _tensor()}
    versions = {"type": "array", "items": _text()}
    return _object(name=_text(), versions=versions, platform=_text(), inputs=tensors, outputs=tensors)


def _tensor(**more: Any) -> dict[str, Any]:
    sizes = {"type": "array", "items": {"type": "integer", "minimum": -1}}
    return _object("data", "parameters", name=_text(), datatype={"enum": [*NUMBERS, TEXT]}, shape=sizes, **more)


def _infer(name: str, codes: tuple[str, ...]) -> dict[str, Any]:
    data = {"type": "array", "items": {"anyOf": [TEXT_OR_NUMBER, {"type": "array", "items": TEXT_OR_NUMBER}]}}
    tensors = {"type": "array", "items": _tensor(data=data, parameters=PARAMETERS)}
    wanted = {"type": "array", "items": _object("parameters", name=_text(), parameters=PARAMETERS)}
    asked = _object(
        "id",
        "parameters",
        "outputs",
        id=_text(),
        parameters=PARAMETERS,
        inputs={**tensors, "maxItems": 16},
        outputs=wanted,
    )
    facts = {"type": "object", "additionalProperties": TEXT_OR_NUMBER}
    told = _object("id", model_name=_text(), model_version=_text(), id=_text(), parameters=facts, outputs=tensors)
    blob = {"type": "string", "format": "binary"}
    length = {"type": "integer", "minimum": 0}
    answered = plain("The outputs that were asked for, all where none was named.")
    answered["content"] = {JSON: {"schema": told}, BINARY: {"schema": blob}}
    answered["headers"] = {HEADER: {"schema": length, "description": "Bytes of JSON in a binary answer."}}
    return {
        "operationId": name,
        "tags": [TAG],
        "summary": "Calls of rows of counts",
        "description": "`counts`: raw counts (or ln(1 + counts per 10,000)), cells x the panel's genes in its order, "
        "NaN throughout for a gene that was not measured. `library_size`: each cell's total over all genes, which may "
        "be omitted where the panel is nearly all that was measured. `cell_ids`: names for messages, optional.",
        "parameters": [
            {
                "name": HEADER,
                "in": "header",
                "required": False,
                "description": "Bytes of JSON before the bytes of tensors.",
                "schema": length,
            }
        ],
        "requestBody": {
            "required": True,
            "content": {JSON: {"schema": asked}, BINARY: {"schema": blob}},
        },
        "responses": _answers(answered, (*dict.fromkeys((*codes, *UNKNOWN)),)),
    }
