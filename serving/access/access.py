"""Lets a request in or refuses it: by the route it asks for, and by the key or token it brings."""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Self

from cellmark.schemas.errors import ParameterError, RequestError

from ..environment_settings import PREFIX
from .api_key import KEY_PREFIX, ApiKey, KeyRecord
from .caller import ANYBODY, PROBE, Caller
from .key_lines import LineError, parse_lines
from .key_ring import KeyRing
from .key_set import RemoteKeySet
from .scopes import Need, Needed, RouteNeeds, require_scope
from .settings import AccessSettings
from .tokens import TokenRules, TokenVerifier

logger = logging.getLogger("cellmark.serving")
SCHEME = "bearer "
REALM = 'Bearer realm="cellmark"'


class CallerError(RequestError):
    """A request of a caller who is known. `key_id`: see `Caller`; None where nobody proved to be anybody."""

    key_id: str | None = None

    def of_key(self, key_id: str | None) -> Self:
        self.key_id = key_id
        return self


class Access:
    """Who may ask for what. `now`: seconds since 1970.

    Without keys and tokens everybody may annotate and explain, and nobody may `admin`.
    """

    def __init__(
        self,
        needs: RouteNeeds,
        ring: KeyRing | None,
        tokens: TokenVerifier | None = None,
        *,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._needs, self._ring, self._tokens, self._now = needs, ring, tokens, now

    @classmethod
    def of(cls, settings: AccessSettings) -> "Access":
        """As the settings say. Raises `ParameterError` for a variable `CELLMARK_KEYS` that holds no keys."""
        has_keys = settings.key_file is not None or settings.keys is not None
        ring = KeyRing(settings.path, fixed_keys(settings)) if has_keys else None
        return cls(RouteNeeds(open_metrics=settings.metrics_access == "open"), ring, _verifier(settings))

    @property
    def is_guarded(self) -> bool:
        """Whether requests need a key or token."""
        return self._ring is not None or self._tokens is not None

    @property
    def takes_tokens(self) -> bool:
        return self._tokens is not None

    def need_of(self, path: str) -> Needed:
        """What a path needs."""
        return self._needs.of(path)

    async def admit(self, path: str, authorization: Sequence[str]) -> Caller:
        """Who asks. `authorization`: all headers of this name. Raises `RequestError`."""
        need = self._needs.of(path)
        if need is Need.NOTHING:
            return PROBE
        if not self.is_guarded and need != "admin":
            return ANYBODY
        caller = await self._identify(path, authorization)
        try:
            self._allow(caller, need, path)
        except RequestError as error:
            raise CallerError(*error.findings).of_key(caller.key_id) from None
        return caller

    def _allow(self, caller: Caller, need: Needed, path: str) -> None:
        if need is Need.UNKNOWN:
            raise RequestError.of(
                "ROUTE_UNKNOWN",
                where=path[:100],
                expected="a route of the service",
                found="another path",
                remedy="GET /openapi.json lists all routes.",
            )
        if not isinstance(need, Need):
            require_scope(caller.scopes, need, where=path)

    async def _identify(self, path: str, authorization: Sequence[str]) -> Caller:
        if len(authorization) != 1 or not authorization[0].strip():
            raise _missing(path, len(authorization))
        if authorization[0][: len(SCHEME)].lower() != SCHEME:
            raise _refused("KEY_INVALID", "another scheme than Bearer", remedy=SEND)
        text = authorization[0][len(SCHEME) :].strip()
        if text.startswith(KEY_PREFIX) or self._tokens is None:
            return self._holder(text)
        return await self._tokens.verify(text)

    def _holder(self, text: str) -> Caller:
        key = ApiKey.parse(text)
        record = self._ring.find(key) if key is not None and self._ring is not None else None
        if key is None or record is None:
            if key is None:
                raise _refused("KEY_INVALID", "another text" if text else "no key behind Bearer", remedy=SEND)
            raise _refused("KEY_INVALID", "another one")
        # Only who has the whole key learns that it was one.
        if record.revoked is not None:
            raise _refused("KEY_REVOKED", f"{key.key_id}, which was revoked").of_key(key.key_id)
        if record.has_expired(self._now()):
            raise _refused("KEY_EXPIRED", f"{key.key_id}, whose time is over").of_key(key.key_id)
        return Caller(record.key_id, record.scopes)


def fixed_keys(settings: AccessSettings) -> tuple[KeyRecord, ...]:
    """The keys of the variable `CELLMARK_KEYS`. Raises `ParameterError`."""
    try:
        return parse_lines(settings.keys or "")
    except LineError as error:
        raise ParameterError.of(
            "PARAMETER_INVALID",
            where=f"{PREFIX}KEYS",
            expected="lines of a file that `cellmark keys create` wrote",
            found=error.found,
            remedy=f'Set {PREFIX}KEYS to the content of the file: {PREFIX}KEYS="$(cat keys.jsonl)"',
        ) from None


def challenge(error: RequestError, need: Needed) -> dict[str, str]:
    """The header `WWW-Authenticate` (RFC 6750) of a refusal."""
    if error.code == "KEY_MISSING":
        return {"WWW-Authenticate": REALM}
    if error.status == 401:
        return {"WWW-Authenticate": f'{REALM}, error="invalid_token"'}
    if error.code == "SCOPE_MISSING":
        return {"WWW-Authenticate": f'{REALM}, error="insufficient_scope", scope="{need}"'}
    return {}


def _verifier(settings: AccessSettings) -> TokenVerifier | None:
    if settings.jwks_url is None or settings.jwt_issuer is None or settings.jwt_audience is None:
        return None
    keys = RemoteKeySet(
        settings.jwks_url,
        refresh=settings.jwks_refresh_seconds,
        retry=settings.jwks_retry_seconds,
        on_failure=lambda reason: logger.warning("The key set of tokens could not be fetched: %s", reason),
    )
    rules = TokenRules(
        settings.jwt_issuer, settings.jwt_audience, settings.jwt_nbf == "required", settings.jwt_leeway_seconds
    )
    return TokenVerifier(keys, rules)


SEND = (
    "Send your key with curl -H 'Authorization: Bearer cm_...'. The service's operator makes one with cellmark keys "
    "create."
)


def _missing(path: str, n_headers: int) -> RequestError:
    return RequestError.of(
        "KEY_MISSING",
        where=path[:100],
        expected="one header Authorization: Bearer KEY",
        found=f"{n_headers} headers Authorization" if n_headers > 1 else "none",
        remedy=SEND,
    )


def _refused(code: str, found: str, *, remedy: str = "") -> CallerError:
    return CallerError.of(
        code,
        where="Authorization",
        expected="a key of this service",
        found=found,
        remedy=remedy or "Ask the service's operator for a key: cellmark keys create.",
    )
