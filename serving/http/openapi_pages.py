"""The part of the OpenAPI document about pages for people."""

from typing import Any

from .openapi_parts import refusals
from .page_routes import FOLDER, INDEX, page_files

SERVER = {"tags": ["server"]}


def page_paths() -> dict[str, Any]:
    """The routes of `page_routes.py`."""
    names = [name for name in page_files() if name != INDEX]
    file = {
        "name": "file",
        "in": "path",
        "required": True,
        "description": "Name of a file of the page.",
        "schema": {"type": "string", "enum": names},
    }
    kinds = {kind: {"schema": {"type": "string"}} for kind in ("text/css", "text/javascript", "image/svg+xml")}
    return {
        "/": _page("landing", "The page: drop a file of cells, see their calls and why"),
        "/docs": _page("documentation", "A page to try each route of this document"),
        f"/{FOLDER}/{{file}}": {
            "get": {
                "operationId": "pageFile",
                "summary": "A script, style or picture of the page",
                "parameters": [file],
                "responses": {
                    "200": {"description": "The file.", "content": kinds},
                    "304": {"description": "It is as the header If-None-Match has it."},
                    **refusals(("ROUTE_UNKNOWN", "INTERNAL_ERROR")),
                },
                **SERVER,
            }
        },
    }


def _page(name: str, summary: str) -> dict[str, Any]:
    responses = {
        "200": {"description": "The page.", "content": {"text/html": {"schema": {"type": "string"}}}},
        **refusals(("INTERNAL_ERROR",)),
    }
    return {"get": {"operationId": name, "summary": summary, "responses": responses, **SERVER}}
