"""What the OpenAPI document says of the service's limits."""

from typing import Any

from .openapi_parts import refusals

EVERYWHERE = ("HOST_NOT_ALLOWED", "RATE_EXCEEDED")
WITH_CELLS = (
    "SERVICE_BUSY",
    "SERVICE_STOPPING",
    "READER_KILLED",
    "DEADLINE_EXCEEDED",
    "REQUEST_TIMEOUT",
    "CLIENT_GONE",
    "DISK_FULL",
    "REQUEST_INVALID",  # an X-Request-Timeout that is no number above 0
)
OF_PROBES = ("/livez", "/readyz", "/healthz", "/metrics")
RETRY_LATER = ("429", "503", "507")
RETRY_AFTER = {
    "schema": {"type": "integer", "minimum": 0},
    "description": "Seconds after which it is worth to ask again.",
}
TIMEOUT = {
    "name": "X-Request-Timeout",
    "in": "header",
    "required": False,
    "description": "Seconds after which the work is stopped (`DEADLINE_EXCEEDED`), where the service allows more.",
    "schema": {"type": "number", "minimum": 1},
}


def describe_limits(document: dict[str, Any]) -> None:
    """Changes the document."""
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            takes_cells = method == "post"
            codes = (*(() if path in OF_PROBES else EVERYWHERE), *(WITH_CELLS if takes_cells else ()))
            if path == "/readyz":
                codes = ("SERVICE_STOPPING", "SERVICE_BUSY", "DISK_FULL")
            described = "".join(answer["description"] for answer in operation["responses"].values())
            for status, refused in refusals(code for code in codes if f"`{code}`" not in described).items():
                there = operation["responses"].setdefault(status, refused)
                if there is not refused:
                    there["description"] += "\n" + refused["description"]
            for status in RETRY_LATER:
                if status in operation["responses"]:
                    operation["responses"][status].setdefault("headers", {})["Retry-After"] = RETRY_AFTER
            if takes_cells:
                # Not added to the list in place, which operations may share.
                operation["parameters"] = [*operation.get("parameters", ()), TIMEOUT]
