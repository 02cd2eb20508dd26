"""The Open Inference Protocol, version 2: routes that clients of Triton, KServe and MLServer know.

Rows go through the same checks as all other cells. A refusal is a problem as everywhere, with the member `error`
beside, which is all that the protocol's clients look at.
"""

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from importlib.metadata import version
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.errors import RequestError

from ..annotator import Annotator
from .oip_model import check_named, describe, infer
from .oip_tensors import invalid, read_request
from .problems import PROBLEM_JSON

JSON = "application/json"
BINARY = "application/octet-stream"
HEADER_LENGTH = "inference-header-content-length"
EXTENSIONS = ["binary_tensor_data"]
PREFIX = "/v2"

Compute = Callable[[Request, Callable[[Annotator, bytes], Any]], Awaitable[Any]]
"""Receives the body, runs the function on the model that the path names and the body, within all limits."""
Lease = Callable[[str, str | None], AbstractAsyncContextManager[Annotator]]
NUMBER = re.compile(r"[1-9][0-9]{0,8}")


def named_model(path_params: Mapping[str, str]) -> tuple[str, str | None]:
    """Name and version to lease. A version that is no number of a registry is held against the digest afterwards."""
    name, version = path_params["name"], path_params.get("version")
    return name, version if version is not None and NUMBER.fullmatch(version) else None


def oip_routes(model: Callable[[], Annotator], lease: Lease, compute: Compute) -> list[BaseRoute]:
    """The routes. `model`: the first that is served; raises `RequestError` while there is none. `lease`: as
    `served_model.leased`, of a model by name and version.
    """

    async def described(request: Request, describe: Callable[[Annotator], dict[str, Any]]) -> Response:
        async with lease(*named_model(request.path_params)) as annotator:
            check_named(annotator, request.path_params["name"], request.path_params.get("version"))
            return _json(describe(annotator))

    async def server(request: Request) -> Response:
        return _json({"name": "cellmark", "version": version("cellmark"), "extensions": EXTENSIONS})

    async def live(request: Request) -> Response:
        return _json({"live": True})

    async def ready(request: Request) -> Response:
        model()
        return _json({"ready": True})

    async def model_ready(request: Request) -> Response:
        return await described(request, lambda annotator: {"name": annotator.source.name, "ready": True})

    async def metadata(request: Request) -> Response:
        return await described(request, describe)

    async def infer_cells(request: Request) -> Response:
        header_length = _header_length(request)

        def work(annotator: Annotator, body: bytes) -> Any:
            check_named(annotator, request.path_params["name"], request.path_params.get("version"))
            return infer(annotator, read_request(body, header_length))

        body, n_json = await compute(request, work)
        if n_json is None:
            return Response(body, media_type=JSON)
        return Response(body, media_type=BINARY, headers={HEADER_LENGTH: str(n_json)})

    routes: list[BaseRoute] = [
        Route(f"{PREFIX}", server),
        Route(f"{PREFIX}/", server),
        Route(f"{PREFIX}/health/live", live),
        Route(f"{PREFIX}/health/ready", ready),
    ]
    for path in (f"{PREFIX}/models/{{name}}", f"{PREFIX}/models/{{name}}/versions/{{version}}"):
        routes += [
            Route(path, metadata),
            Route(f"{path}/ready", model_ready),
            Route(f"{path}/infer", infer_cells, methods=["POST"]),
        ]
    return routes


def _header_length(request: Request) -> int | None:
    """Bytes of JSON in the body, None where all is JSON."""
    encoding = request.headers.get("content-encoding", "identity")
    if encoding.lower() != "identity":
        raise RequestError.of(
            "MEDIA_TYPE_UNSUPPORTED",
            where="Content-Encoding",
            expected="a body that is not compressed",
            found="another encoding",
            remedy="Send the tensors as they are.",
        )
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise invalid("Inference-Header-Content-Length", "a number of bytes", "another text")
    return int(text)


def _json(value: dict[str, Any]) -> Response:
    return Response(write_json(value), media_type=JSON)


class OipErrors:
    """Gives the problems of the protocol's paths the member `error`, whoever refused: routes, keys or limits."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope.get("path", "")
        if scope["type"] != "http" or not (path == PREFIX or path.startswith(f"{PREFIX}/")):
            await self.app(scope, receive, send)
            return
        held: Message | None = None

        async def add(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and _is_problem(message):
                held = message
                return
            if held is None:
                await send(message)
                return
            body = _with_error(message.get("body", b""))
            length = [(b"content-length", str(len(body)).encode())]
            headers = [(name, value) for name, value in held["headers"] if name != b"content-length"]
            await send({**held, "headers": headers + length})
            await send({**message, "body": body})
            held = None

        await self.app(scope, receive, add)


def _is_problem(message: Message) -> bool:
    return message["status"] >= 400 and any(
        name == b"content-type" and value.split(b";")[0] == PROBLEM_JSON.encode() for name, value in message["headers"]
    )


def _with_error(body: bytes) -> bytes:
    try:
        told = json.loads(body)
    except ValueError:
        return body
    return write_json({**told, "error": told.get("detail", "")}) if isinstance(told, dict) else body
