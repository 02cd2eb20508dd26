"""Stands before all routes, BentoML's own included, and hands on only what `Access` lets in."""

from starlette.types import ASGIApp, Receive, Scope, Send

from cellmark.schemas.errors import RequestError

from ..access.access import Access, CallerError, challenge
from ..access.caller import PROBE
from ..access.exposure import refuse_from_elsewhere
from ..context import context_of
from .problems import problem

CLOSE_FORBIDDEN = {"type": "websocket.close", "code": 1008}


class AccessGuard:
    """Notes who asks in the request's context; answers a refusal itself. `insecure`: a service without keys answers on
    every address. There are no websockets, so none is opened.
    """

    def __init__(self, app: ASGIApp, access: Access, *, insecure: bool = False) -> None:
        self.app = app
        self._access = access
        self._answers_everywhere = insecure or access.is_guarded

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send(CLOSE_FORBIDDEN)
                return
            await self.app(scope, receive, send)
            return
        context = context_of(scope)
        path: str = scope["path"]
        try:
            given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"authorization"]
            caller = await self._access.admit(path, given)
            if not self._answers_everywhere and caller is not PROBE:
                refuse_from_elsewhere(scope.get("server"))
        except RequestError as error:
            context.code = error.code
            if isinstance(error, CallerError):
                context.key_id = error.key_id  # so that the log says who still uses a revoked key
            await problem(error, challenge(error, self._access.need_of(path)))(scope, receive, send)
            return
        context.key_id, context.scopes = caller.key_id, caller.scopes
        await self.app(scope, receive, send)
