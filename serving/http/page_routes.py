"""The page at `/` for people with a file of cells, and at `/docs` BentoML's copy of Swagger UI on our document.

Both load nothing from elsewhere: their policy forbids it. BentoML's own page loads a tracker.
"""

import hashlib
from importlib.resources import files

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from .answer_types import response
from .settings import ServiceSettings

FOLDER = "page"
INDEX = "index.html"
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml", ".html": "text/html"}
ALL = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; worker-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types cellmark"
)
"""No script, style or address but this service's own, none made of text, and no frame around the page."""
DOCS_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
DOCS = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>cellmark: the service's interface</title>
<link rel="icon" href="page/icon.svg">
<link rel="stylesheet" href="static_content/swagger-ui.css">
<style>body { margin: 0; font-family: sans-serif } header { padding: 1rem 2rem }</style>
</head>
<body>
<header>
<strong>cellmark</strong>: <a href="./">the page</a>, <a href="report">the report</a>, <a href="model">the model</a>,
<a href="markers?format=csv">its markers</a>,
<a href="openapi.json">OpenAPI document</a>, <a href="readyz">ready?</a>, <a href="metrics">metrics</a>
</header>
<div id="swagger-ui"></div>
<script src="static_content/swagger-ui-bundle.js"></script>
<script src="static_content/swagger-ui-standalone-preset.js"></script>
<script src="static_content/swagger-initializer.js"></script>
</body>
</html>
"""


def page_files() -> dict[str, bytes]:
    """The page's files by name; all of them are plain text, written by hand."""
    folder = files(__package__).joinpath(FOLDER)
    return {entry.name: entry.read_bytes() for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)}


def page_routes(settings: ServiceSettings) -> list[BaseRoute]:
    """The routes. What the page must know of the service's limits stands in its own text."""
    held = page_files()
    limit = str(settings.max_upload_bytes).encode()
    index = held.pop(INDEX).replace(b"{max_upload_bytes}", limit)
    tags = {name: f'"{hashlib.sha256(content).hexdigest()[:32]}"' for name, content in held.items()}

    async def get_landing(request: Request) -> Response:
        return await _sent(request, index, "text/html", {**ALL, "Content-Security-Policy": CONTENT_POLICY})

    async def get_file(request: Request) -> Response:
        name = request.path_params["file"]
        if name not in held:
            raise HTTPException(404)
        # Workers have the policy of their own answer.
        headers = {**ALL, "ETag": tags[name], "Content-Security-Policy": CONTENT_POLICY}
        if request.headers.get("if-none-match") == tags[name]:
            return Response(status_code=304, headers=headers)
        return await _sent(request, held[name], MEDIA_TYPES[name[name.rindex(".") :]], headers)

    async def get_docs(request: Request) -> Response:
        return await _sent(request, DOCS.encode(), "text/html", {**ALL, "Content-Security-Policy": DOCS_POLICY})

    return [Route("/", get_landing), Route(f"/{FOLDER}/{{file}}", get_file), Route("/docs", get_docs)]


async def _sent(request: Request, content: bytes, media_type: str, headers: dict[str, str]) -> Response:
    answer = await response(request, content, media_type)
    answer.headers.update(headers)
    return answer
