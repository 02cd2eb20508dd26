"""The public keys of a token issuer (JWKS, RFC 7517), from the configured URL and nowhere else."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread

LARGEST_SET = 1024**2
SECONDS_TO_FETCH = 10
SHORTEST_RSA = 2048
ALGORITHMS = frozenset({"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"})
"""All that is accepted, each asymmetric: a public key must never be taken for the secret of an HMAC."""
OF_CURVE = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "EdDSA"}


@dataclass(frozen=True, slots=True)
class PublicKey:
    """`key`: of the library cryptography. `algorithms`: what it may verify, by its own kind."""

    key: Any
    algorithms: tuple[str, ...]


KeySet = dict[str, PublicKey]
"""Keys by `kid`."""


class FetchError(Exception):
    """The key set cannot be fetched, or is not a key set. The message is for the log."""


def parse_key_set(content: bytes) -> KeySet:
    """The keys that can verify tokens; others are skipped. Raises `FetchError` when nothing is left."""
    from jwt import PyJWK
    from jwt.exceptions import PyJWTError

    try:
        entries = json.loads(content)["keys"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raise FetchError("expected a JSON object with the list `keys`") from None
    keys: KeySet = {}
    for entry in entries if isinstance(entries, list) else ():
        algorithms = _algorithms(entry)
        if not algorithms:
            continue
        try:
            made = PyJWK(entry, algorithms[0]).key
        except (PyJWTError, ValueError, TypeError, KeyError, AttributeError):
            continue
        if entry["kty"] == "RSA" and made.key_size < SHORTEST_RSA:
            continue
        # A set that also holds the private half must not be served with it.
        keys[entry["kid"]] = PublicKey(made.public_key() if hasattr(made, "public_key") else made, algorithms)
    if not keys:
        raise FetchError("no key in the set has a `kid` and can verify the algorithms that are accepted")
    return keys


def _algorithms(entry: Any) -> tuple[str, ...]:
    if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str):
        return ()
    operations = entry.get("key_ops")
    if entry.get("use", "sig") != "sig" or (isinstance(operations, list) and "verify" not in operations):
        return ()
    match entry.get("kty"):
        case "RSA":
            possible = sorted(name for name in ALGORITHMS if name[:2] in ("RS", "PS"))
        case "EC" | "OKP":
            possible = [OF_CURVE[curve]] if (curve := str(entry.get("crv"))) in OF_CURVE else []
        case _:
            return ()
    only = entry.get("alg")
    return tuple(name for name in possible if only is None or name == only)


def fetch_key_set(url: str) -> bytes:
    """The bytes at the URL; redirects are not followed. Raises `FetchError`."""
    import requests

    deadline = time.monotonic() + SECONDS_TO_FETCH
    try:
        with requests.get(url, timeout=(3, 5), allow_redirects=False, stream=True) as response:
            if response.status_code != 200:
                raise FetchError(f"status {response.status_code}")
            content = bytearray()
            for block in response.iter_content(65536):
                content += block
                if len(content) > LARGEST_SET or time.monotonic() > deadline:
                    raise FetchError(f"more than {LARGEST_SET:,} bytes, or {SECONDS_TO_FETCH} seconds")
            return bytes(content)
    except requests.RequestException as error:
        raise FetchError(type(error).__name__) from error


class RemoteKeySet:
    """The issuer's keys, kept in memory. Fetching happens in a thread, one at a time, at most every `retry` seconds.

    A set older than `refresh` seconds is fetched again, so that a key which the issuer took back is refused; while
    the issuer does not answer, the old set counts for `LONGEST_USE` seconds more.
    """

    LONGEST_USE = 24 * 3600

    def __init__(
        self,
        url: str,
        *,
        refresh: float,
        retry: float,
        fetch: Callable[[str], bytes] = fetch_key_set,
        clock: Callable[[], float] = time.monotonic,
        on_failure: Callable[[str], None] = lambda reason: None,
    ) -> None:
        self._url, self._refresh, self._retry = url, refresh, retry
        self._fetch, self._clock, self._on_failure = fetch, clock, on_failure
        self._keys: KeySet | None = None
        self._fetched = self._tried = float("-inf")
        self._lock: anyio.Lock | None = None

    async def find(self, kid: str) -> PublicKey | None:
        """The key, None when the issuer has none of this id. Raises `FetchError` while there is no set at all."""
        now = self._clock()
        due = self._keys is None or kid not in self._keys or now - self._fetched >= self._refresh
        if due and now - self._tried >= self._retry:
            await self._renew()
        if self._keys is None or self._clock() - self._fetched >= self._refresh + self.LONGEST_USE:
            raise FetchError("no key set could be fetched")
        return self._keys.get(kid)

    async def _renew(self) -> None:
        self._lock = self._lock or anyio.Lock()
        async with self._lock:
            if self._clock() - self._tried < self._retry:
                return  # another request has just asked
            self._tried = self._clock()
            try:
                self._keys = parse_key_set(await anyio.to_thread.run_sync(self._fetch, self._url))
                self._fetched = self._clock()
            except FetchError as error:
                self._on_failure(str(error))
