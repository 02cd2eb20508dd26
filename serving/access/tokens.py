"""JWT bearer tokens (RFC 7519), as RFC 8725 advises.

The algorithm must be one of a fixed, asymmetric list and fit the kind of the key; the key comes from the configured
key set by its `kid`. What a token says of where its key is (`jku`, `x5u`, `jwk`, `x5c`) is never looked at.
"""

import hashlib
import re
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from cellmark.schemas.errors import RequestError

from .caller import Caller
from .key_set import FetchError, PublicKey, RemoteKeySet
from .scopes import SCOPES

LONGEST_TOKEN = 16 * 1024
CLAIMS = ("exp", "iss", "aud")
PLAIN_SUBJECT = re.compile(r"[A-Za-z0-9._@|:/+-]{1,80}")


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say. `leeway`: seconds that clocks may differ."""

    issuer: str
    audience: str
    needs_nbf: bool = True
    leeway: int = 30


@dataclass(frozen=True, slots=True)
class Verified:
    """A token that was verified with `public`, and counts until `expires`, seconds since 1970."""

    caller: Caller
    kid: str
    public: PublicKey
    expires: float


class TokenVerifier:
    """Checks tokens. Imports the library once, when it is made.

    A token that was verified is remembered by its digest, since checking a signature takes a quarter of a millisecond;
    it counts until it expires and as long as the issuer's key set holds the very key that verified it.
    """

    MOST_REMEMBERED = 1000

    def __init__(self, keys: RemoteKeySet, rules: TokenRules, *, now: Callable[[], float] = time.time) -> None:
        import jwt

        self._jwt, self._now = jwt, now
        self._remembered: OrderedDict[bytes, Verified] = OrderedDict()
        self._keys, self._rules = keys, rules
        self._required = [*CLAIMS, *(("nbf",) if rules.needs_nbf else ())]

    async def verify(self, token: str) -> Caller:
        """Who sent the token. Raises `RequestError`: `TOKEN_INVALID`, `TOKEN_EXPIRED`, `TOKEN_KEYS_UNREACHABLE`."""
        if len(token) > LONGEST_TOKEN or token.count(".") != 2:
            raise invalid("another text")
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        known = self._remembered.get(digest)
        if known is not None and self._now() < known.expires and await self._find(known.kid) == known.public:
            return known.caller
        verified = await self._check(token)
        self._remembered[digest] = verified
        if len(self._remembered) > self.MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return verified.caller

    async def _check(self, token: str) -> Verified:
        exceptions = self._jwt.exceptions
        try:
            kid = self._jwt.get_unverified_header(token).get("kid")
            if not isinstance(kid, str):
                raise invalid("no `kid` in its header")
            public = await self._find(kid)
            if public is None:
                raise invalid("a `kid` that the issuer's key set does not have")
            claims = self._jwt.decode(
                token,
                public.key,
                algorithms=list(public.algorithms),
                issuer=self._rules.issuer,
                audience=self._rules.audience,
                leeway=self._rules.leeway,
                options={"require": self._required},
            )
        except exceptions.ExpiredSignatureError:
            raise RequestError.of(
                "TOKEN_EXPIRED",
                where="Authorization",
                expected="a token whose time `exp` is to come",
                found="one whose time is over",
                remedy="Get a new token from its issuer.",
            ) from None
        except exceptions.PyJWTError as error:
            raise invalid(_reason(error, exceptions)) from None
        caller = Caller(_subject(claims), scopes_of(claims))
        return Verified(caller, kid, public, int(claims["exp"]) + self._rules.leeway)

    async def _find(self, kid: str) -> PublicKey | None:
        try:
            return await self._keys.find(kid)
        except FetchError:
            raise RequestError.of(
                "TOKEN_KEYS_UNREACHABLE",
                where="Authorization",
                expected="the key set of the token's issuer",
                found="none: the issuer does not answer",
                remedy="Ask again in a moment, or use an API key.",
            ) from None


def scopes_of(claims: dict[str, Any]) -> frozenset[str]:
    """Our scopes among those of the claims `scope` (RFC 8693, words) and `scp` (words or a list)."""
    granted: set[str] = set()
    for claim in ("scope", "scp"):
        value = claims.get(claim)
        if isinstance(value, str):
            granted |= set(value.split(" "))
        elif isinstance(value, list):
            granted |= {one for one in value if isinstance(one, str)}
    return frozenset(granted & set(SCOPES))


def _subject(claims: dict[str, Any]) -> str:
    """A short, printable id of the token's subject; equal for equal subjects alone."""
    subject = next((claims[name] for name in ("sub", "client_id", "azp") if claims.get(name)), None)
    if not isinstance(subject, str):
        raise invalid("neither `sub` nor `client_id`")
    if PLAIN_SUBJECT.fullmatch(subject):
        return f"jwt:{subject}"
    return "jwt-sha256:" + hashlib.sha256(subject.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _reason(error: Exception, exceptions: Any) -> str:
    """What is wrong, in our words: the library's may repeat what the token holds."""
    match error:
        case exceptions.MissingRequiredClaimError():
            return f"no claim `{error.claim}`"
        case exceptions.InvalidAudienceError():
            return "one for another audience (`aud`)"
        case exceptions.InvalidIssuerError():
            return "one of another issuer (`iss`)"
        case exceptions.ImmatureSignatureError():
            return "one whose time (`nbf`, `iat`) is to come"
        case exceptions.InvalidAlgorithmError():
            return "an algorithm (`alg`) that is not accepted for its key"
        case exceptions.InvalidSignatureError():
            return "a signature that does not fit"
        case _:
            return "one that is not of the right form"


def invalid(found: str) -> RequestError:
    return RequestError.of(
        "TOKEN_INVALID",
        where="Authorization",
        expected="a key of this service, or a token that its issuer signed for it",
        found=found,
        remedy="Get a token from the issuer that the service trusts, for its audience.",
    )
