"""What the OpenAPI document says of ids and traces of requests."""

from typing import Any

from ..observe.route_names import PROBES

TEXT = {"type": "string"}
ID = {
    "description": "Id of the request: the caller's own where it is at most 128 letters, digits or `._~:/+=@-`, else a "
    "new one. The log has it, and a refusal as `request_id`.",
    "schema": TEXT,
}
TRACE = {
    "description": "Trace of the request as W3C's Trace Context has it; in the answer where the service sends traces.",
    "schema": TEXT,
}


def describe_observing(document: dict[str, Any]) -> None:
    """Changes the document."""
    for path, operations in document["paths"].items():
        headers = {"X-Request-ID": ID} if path in PROBES else {"X-Request-ID": ID, "traceparent": TRACE}
        asked = [{"name": name, "in": "header", "required": False, **header} for name, header in headers.items()]
        for operation in operations.values():
            # Lists and answers that another operation may have too are left as they are.
            others = [entry for entry in operation.get("parameters", ()) if entry["name"] not in headers]
            operation["parameters"] = [*others, *asked]
            operation["responses"] = {
                status: {**answer, "headers": {**answer.get("headers", {}), **headers}}
                for status, answer in operation["responses"].items()
            }
