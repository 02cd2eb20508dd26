"""Routes about versions: what is served, and an administrator's: look at the registry now, go back, shadows."""

import time
from functools import partial
from typing import Any

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from cellmark.schemas.api.strict_json import write_json
from cellmark.schemas.errors import Finding, RequestError

from ..versions.served_models import ServedModels, describe_update
from ..versions.shadow import summary
from ..versions.version_state import VersionState
from ..versions.webhook import LARGEST_BODY, read_webhook
from .options import AdminOptions, RouteOptions, parse_options

MODEL_PREFIXES = ("/models/{name}", "/models/{name}/versions/{version}")
"""Where the routes of a model are, beside the root, which is the first model's."""
JSON = "application/json"
ANSWER_SECONDS = 120.0
LOOK_SECONDS = 0.05


def version_routes(served: ServedModels) -> list[BaseRoute]:
    """The routes, for the models of a service."""

    async def get_models(request: Request) -> Response:
        parse_options(RouteOptions, request.query_params.multi_items())
        return _json({"models": await anyio.to_thread.run_sync(list_models, served)})

    async def reload(request: Request) -> Response:
        return await _asked(request, served, "reload")

    async def roll_back(request: Request) -> Response:
        return await _asked(request, served, "rollback")

    async def webhook(request: Request) -> Response:
        parse_options(RouteOptions, request.query_params.multi_items())
        body = await _short_body(request)
        event = read_webhook(request.headers, body, served.webhook_secret, now=time.time())
        state = _state(served)
        if not await anyio.to_thread.run_sync(partial(state.is_new_delivery, event.delivery, now=time.time())):
            return _json({"state": "known"})
        followed = {wish.key for wish, _ in served.records()}
        uri = f"models:/{event.name}@{event.alias}"
        if event.alias is None or not (uri in followed or uri == served.shadow_uri):
            return _json({"state": "ignored"})
        # What the message says of the version is not used: the registry itself is asked.
        await anyio.to_thread.run_sync(partial(state.ask, "check", uri, now=time.time()))
        served.wake()
        return _json({"state": "accepted"}, 202)

    async def get_shadow(request: Request) -> Response:
        parse_options(RouteOptions, request.query_params.multi_items())
        return _json(await anyio.to_thread.run_sync(describe_shadow, served))

    return [
        Route("/models", get_models),
        Route("/admin/reload", reload, methods=["POST"]),
        Route("/admin/rollback", roll_back, methods=["POST"]),
        Route("/admin/webhook", webhook, methods=["POST"]),
        Route("/admin/shadow", get_shadow),
    ]


def list_models(served: ServedModels) -> list[dict[str, Any]]:
    """The models of `GET /models`, the default first."""
    listed = []
    for name in served.names:
        source = served.get(name).source
        facts = {"model": name, "model_version": source.version, "bundle_digest": source.bundle.digest}
        listed.append({**facts, "versions": served.versions_held(name), "update": served.update(name)})
    return listed


def describe_shadow(served: ServedModels) -> dict[str, Any]:
    """The answer of `GET /admin/shadow`."""
    totals = served.state.shadow() if served.state is not None else {}
    record = served.shadow_record()
    return {
        "challenger": served.shadow_uri,
        "challenger_version": record.current.version if record is not None and record.current is not None else None,
        "update": describe_update(record) if record is not None else None,
        "pairs": [summary(pair, of_pair) for pair, of_pair in sorted(totals.items())],
    }


def _state(served: ServedModels) -> VersionState:
    if served.state is None:
        served.get()  # says why nothing is served
        raise RequestError.of(
            "SERVICE_NOT_READY",
            where="model",
            expected="a service that follows a registry",
            found="one of a single model",
            remedy="Start it with `cellmark serve --model models:/NAME@ALIAS`.",
        )
    return served.state


async def _asked(request: Request, served: ServedModels, kind: str) -> Response:
    """Leave a request for the worker that leads; answer when all workers have done what it decided."""
    options = parse_options(AdminOptions, request.query_params.multi_items())
    state = _state(served)
    if options.model is not None:
        served.get(options.model)
    name = options.model or (served.get().source.name if kind == "rollback" else None)
    number = await anyio.to_thread.run_sync(partial(state.ask, kind, name, now=time.time()))
    served.wake()
    answer, done = await _answer_of_all(served, state, number)
    if not done:
        return _json({"done": False, "models": answer or []}, 202)
    if answer and answer[0]["state"] == "refused":
        first = answer[0]["error"][0]
        raise RequestError(Finding(**{**first, "examples": tuple(first["examples"])}))
    return _json({"done": True, "models": answer})


async def _answer_of_all(served: ServedModels, state: VersionState, number: int) -> tuple[list[dict[str, Any]], bool]:
    """What the leader answers, and whether all workers have done it within `ANSWER_SECONDS`."""
    deadline = time.monotonic() + ANSWER_SECONDS
    answer: list[dict[str, Any]] | None = None
    while time.monotonic() < deadline:
        if answer is None:
            answer = await anyio.to_thread.run_sync(state.answer, number)
        elif await anyio.to_thread.run_sync(served.settled):
            return answer, True
        else:
            await anyio.sleep(LOOK_SECONDS)
        if answer is None:
            await anyio.sleep(LOOK_SECONDS)
    return answer or [], False


async def _short_body(request: Request) -> bytes:
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > LARGEST_BODY:
            raise RequestError.of(
                "REQUEST_TOO_LARGE",
                where="body",
                expected=f"at most {LARGEST_BODY:,} bytes",
                found="more",
                remedy="MLflow's messages are shorter.",
            )
    return body


def _json(value: Any, status: int = 200) -> Response:
    return Response(write_json(value), status, media_type=JSON)
