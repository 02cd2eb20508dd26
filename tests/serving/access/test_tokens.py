"""Tokens are let in only when the configured issuer signed them, for this service and this moment."""

import json
import time
from collections.abc import Callable
from typing import Any

import anyio
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from jwt.algorithms import RSAAlgorithm

from cellmark.schemas.errors import RequestError
from cellmark.serving.access.caller import Caller
from cellmark.serving.access.key_set import FetchError, RemoteKeySet, parse_key_set
from cellmark.serving.access.tokens import LONGEST_TOKEN, TokenRules, TokenVerifier, scopes_of
from fixtures.token_issuer import AUDIENCE, ISSUER, TokenIssuer, encoded

URL = "https://id.example.org/keys"


class Endpoint:
    """What lies at the URL of the key set, and how often it was asked."""

    def __init__(self, content: bytes | None) -> None:
        self.content = content
        self.urls: list[str] = []
        self.failures: list[str] = []
        self.now = 0.0

    def fetch(self, url: str) -> bytes:
        self.urls.append(url)
        if self.content is None:
            raise FetchError("status 500")
        return self.content

    def key_set(self, refresh: float = 300, retry: float = 30) -> RemoteKeySet:
        return RemoteKeySet(
            URL,
            refresh=refresh,
            retry=retry,
            fetch=self.fetch,
            clock=lambda: self.now,
            on_failure=self.failures.append,
        )


@pytest.fixture(scope="module")
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
def endpoint(issuer: TokenIssuer) -> Endpoint:
    return Endpoint(issuer.key_set())


@pytest.fixture
def verify(endpoint: Endpoint) -> Callable[[str], Caller]:
    verifier = TokenVerifier(endpoint.key_set(), TokenRules(ISSUER, AUDIENCE))
    return lambda token: anyio.run(verifier.verify, token)


def refused(verify: Callable[[str], Caller], token: str, code: str = "TOKEN_INVALID") -> str:
    with pytest.raises(RequestError) as raised:
        verify(token)
    assert raised.value.code == code
    return raised.value.findings[0].found


@pytest.mark.parametrize(
    "algorithm",
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"],
)
def test_every_accepted_algorithm_is_verified(
    verify: Callable[[str], Caller], issuer: TokenIssuer, algorithm: str
) -> None:
    assert verify(issuer.token(algorithm)) == Caller("jwt:mara", frozenset({"annotate"}))


def test_none_and_hmac_are_refused_however_they_are_signed(
    verify: Callable[[str], Caller], issuer: TokenIssuer
) -> None:
    pem = issuer.rsa.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    for algorithm in ("none", "None", "HS256", "HS384", "RS256", "", "ES256K"):
        for secret in (None, b"secret", pem, json.dumps(issuer.jwks()[0]).encode()):
            refused(verify, issuer.forged({"alg": algorithm, "kid": "RSA", "typ": "JWT"}, secret))
    refused(verify, issuer.forged({"kid": "RSA"}, pem))


def test_a_key_verifies_the_algorithms_of_its_kind_alone(verify: Callable[[str], Caller], issuer: TokenIssuer) -> None:
    assert "alg" in refused(verify, issuer.token("RS256", {"kid": "ES256"}))
    assert "alg" in refused(verify, issuer.token("ES256", {"kid": "RSA"}))
    assert "alg" in refused(verify, issuer.token("ES256", {"kid": "ES384"}))


def test_where_a_token_says_its_key_is_does_not_matter(
    verify: Callable[[str], Caller], endpoint: Endpoint, issuer: TokenIssuer
) -> None:
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    own = RSAAlgorithm.to_jwk(other.public_key(), as_dict=True)
    for header in (
        {"jku": "https://attacker.example.org/keys", "kid": "RSA"},
        {"x5u": "https://attacker.example.org/cert", "kid": "RSA"},
        {"jwk": own, "kid": "RSA"},
        {"jwk": own, "kid": "attacker"},
        {"jwk": own},
    ):
        refused(verify, jwt.encode(issuer.claims(), other, "RS256", headers=header))
        assert verify(issuer.token(header={**header, "kid": "RSA"})).key_id == "jwt:mara"
    assert set(endpoint.urls) == {URL}


# Far from any clock: a suite may run for an hour after these lines were read.
LONG_AGO, LONG_FROM_NOW = 1_000_000_000, 32_503_680_000  # 2001, 3000


@pytest.mark.parametrize(
    ("changes", "code", "found"),
    [
        ({"exp": LONG_AGO}, "TOKEN_EXPIRED", "over"),
        ({"exp": None}, "TOKEN_INVALID", "`exp`"),
        ({"exp": "soon"}, "TOKEN_INVALID", "form"),
        ({"exp": float("inf")}, "TOKEN_INVALID", "form"),
        ({"nbf": LONG_FROM_NOW}, "TOKEN_INVALID", "to come"),
        ({"nbf": None}, "TOKEN_INVALID", "`nbf`"),
        ({"iat": LONG_FROM_NOW}, "TOKEN_INVALID", "to come"),
        ({"iss": None}, "TOKEN_INVALID", "`iss`"),
        ({"iss": ISSUER + "/"}, "TOKEN_INVALID", "issuer"),
        ({"aud": None}, "TOKEN_INVALID", "`aud`"),
        ({"aud": "another"}, "TOKEN_INVALID", "audience"),
        ({"aud": ["another", "third"]}, "TOKEN_INVALID", "audience"),
        ({"aud": []}, "TOKEN_INVALID", "`aud`"),
        ({"sub": None}, "TOKEN_INVALID", "`sub`"),
    ],
)  # fmt: skip
def test_claims_must_be_there_and_right(
    verify: Callable[[str], Caller], issuer: TokenIssuer, changes: dict[str, Any], code: str, found: str
) -> None:
    assert found in refused(verify, issuer.token(**changes), code)


def test_an_audience_may_be_one_of_several(verify: Callable[[str], Caller], issuer: TokenIssuer) -> None:
    assert verify(issuer.token(aud=["another", AUDIENCE])).key_id == "jwt:mara"


def test_a_changed_token_is_refused(verify: Callable[[str], Caller], issuer: TokenIssuer) -> None:
    header, _, signature = issuer.token().split(".")
    more = encoded(issuer.claims(scope="annotate explain admin"))
    assert "signature" in refused(verify, f"{header}.{more}.{signature}")


@pytest.mark.parametrize(
    "text",
    [
        "", ".", "..", "a.b.c", "é.é.é", "....", "a" * 100, "." * (LONGEST_TOKEN + 1),
        f"{encoded([])}.{encoded({})}.", f"{encoded({'kid': 5})}.{encoded({})}.",
        f"{encoded(b'[' * 5000)}.{encoded({})}.",
        f"{encoded({'kid': 'RSA', 'crit': ['x'], 'alg': 'RS256'})}.{encoded({})}.",
    ],
)  # fmt: skip
def test_other_texts_are_refused(verify: Callable[[str], Caller], text: str) -> None:
    refused(verify, text)


def test_nbf_may_be_made_optional(endpoint: Endpoint, issuer: TokenIssuer) -> None:
    verifier = TokenVerifier(endpoint.key_set(), TokenRules(ISSUER, AUDIENCE, needs_nbf=False))
    assert anyio.run(verifier.verify, issuer.token(nbf=None)).key_id == "jwt:mara"
    refused(lambda token: anyio.run(verifier.verify, token), issuer.token(nbf=LONG_FROM_NOW))


def test_scopes_are_ours_alone() -> None:
    assert scopes_of({"scope": "openid annotate profile"}) == {"annotate"}
    assert scopes_of({"scp": ["explain", "admin", 3], "scope": "annotate"}) == {"annotate", "explain", "admin"}
    assert scopes_of({"scp": "explain"}) == {"explain"}
    assert scopes_of({"scope": "annotated ANNOTATE", "roles": ["admin"]}) == set()
    assert scopes_of({"scope": {"annotate": 1}}) == set()


def test_subjects_are_short_printable_and_never_alike(verify: Callable[[str], Caller], issuer: TokenIssuer) -> None:
    odd = ["two words", "line\nbreak", "x" * 81, "\ud800", "é"]
    ids = [verify(issuer.token(sub=subject)).key_id or "" for subject in odd]
    assert len(set(ids)) == len(odd)
    assert all(text.isascii() and text.isprintable() and len(text) < 90 for text in ids)
    assert verify(issuer.token(sub=None, client_id="pipeline")).key_id == "jwt:pipeline"


def test_the_key_set_is_fetched_once_and_for_unknown_kids_now_and_then(endpoint: Endpoint, issuer: TokenIssuer) -> None:
    keys = endpoint.key_set()

    async def ask() -> None:
        for _ in range(5):
            assert await keys.find("RSA") is not None
        assert len(endpoint.urls) == 1
        for _ in range(5):
            assert await keys.find("unknown") is None
        assert len(endpoint.urls) == 1  # not 30 seconds yet
        endpoint.now = 31
        endpoint.content = json.dumps({"keys": [{**issuer.jwks()[0], "kid": "unknown"}]}).encode()
        assert await keys.find("unknown") is not None
        assert await keys.find("RSA") is None  # taken back by the issuer
        assert len(endpoint.urls) == 2

    anyio.run(ask)


def test_requests_at_once_fetch_once(endpoint: Endpoint) -> None:
    keys = endpoint.key_set()

    async def ask() -> None:
        async with anyio.create_task_group() as tasks:
            for _ in range(20):
                tasks.start_soon(keys.find, "RSA")

    anyio.run(ask)
    assert len(endpoint.urls) == 1


def test_an_old_set_is_renewed_and_counts_for_a_day_while_the_issuer_is_silent(endpoint: Endpoint) -> None:
    keys = endpoint.key_set()

    async def ask() -> None:
        assert await keys.find("RSA") is not None
        endpoint.now, endpoint.content = 301, None
        assert await keys.find("RSA") is not None
        assert endpoint.failures == ["status 500"]
        endpoint.now = 302
        assert await keys.find("RSA") is not None
        assert len(endpoint.urls) == 2  # no storm on an issuer that is down
        endpoint.now = 300 + keys.LONGEST_USE
        with pytest.raises(FetchError):
            await keys.find("RSA")

    anyio.run(ask)


def test_without_any_set_the_service_is_to_blame_and_not_the_token(issuer: TokenIssuer) -> None:
    verifier = TokenVerifier(Endpoint(None).key_set(), TokenRules(ISSUER, AUDIENCE))
    refused(lambda token: anyio.run(verifier.verify, token), issuer.token(), "TOKEN_KEYS_UNREACHABLE")


def test_a_token_that_was_verified_counts_while_its_key_and_its_time_last(
    endpoint: Endpoint, issuer: TokenIssuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = int(time.time())  # the library looks at the real clock, the memory at `now`
    now = float(start)
    verifier = TokenVerifier(endpoint.key_set(), TokenRules(ISSUER, AUDIENCE), now=lambda: now)
    token = issuer.token(exp=start + 60)
    caller = anyio.run(verifier.verify, token)
    decode, checks = verifier._jwt.decode, []
    monkeypatch.setattr(verifier._jwt, "decode", lambda *given, **named: checks.append(1) or decode(*given, **named))
    assert anyio.run(verifier.verify, token) == caller
    assert checks == []
    refused(lambda text: anyio.run(verifier.verify, text), token[:-4] + "AAAA")
    now = start + 91.0  # past `exp` and the leeway: it is looked at again
    anyio.run(verifier.verify, token)
    assert len(checks) == 2
    # Another key under the same id: what the old one signed is refused.
    now, endpoint.now = float(start), 301
    endpoint.content = json.dumps({"keys": [{**TokenIssuer().jwks()[0], "kid": "RSA"}]}).encode()
    assert "signature" in refused(lambda text: anyio.run(verifier.verify, text), token)


def test_few_tokens_are_remembered(endpoint: Endpoint, issuer: TokenIssuer) -> None:
    verifier = TokenVerifier(endpoint.key_set(), TokenRules(ISSUER, AUDIENCE))
    verifier.MOST_REMEMBERED = 3  # type: ignore[misc]
    for number in range(6):
        anyio.run(verifier.verify, issuer.token("EdDSA", sub=str(number)))
    assert len(verifier._remembered) == 3


def test_keys_that_cannot_verify_are_skipped(issuer: TokenIssuer) -> None:
    good = issuer.jwks()[0]
    weak = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()
    useless: list[Any] = [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "hmac"},
        {**good, "kid": "encrypts", "use": "enc"},
        {**good, "kid": "signs", "key_ops": ["sign"]},
        {**good, "kid": "hmac-too", "alg": "HS256"},
        {**good, "kid": None},
        {**good, "kid": "broken", "n": "!"},
        {**good, "kid": "numbers", "n": 5},
        {**RSAAlgorithm.to_jwk(weak, as_dict=True), "kid": "weak"},
        {"kty": "EC", "crv": "secp256k1", "kid": "curve"},
        {"kty": "EC", "crv": ["P-256"], "kid": "odd"},
        "text", None, [],
    ]  # fmt: skip
    found = parse_key_set(json.dumps({"keys": [*useless, good]}).encode())
    assert set(found) == {"RSA"}
    assert parse_key_set(json.dumps({"keys": [{**good, "alg": "PS256"}]}).encode())["RSA"].algorithms == ("PS256",)
    for content in (b"", b"[]", b"{}", b'{"keys": 5}', json.dumps({"keys": useless}).encode(), b"[" * 100_000):
        with pytest.raises(FetchError):
            parse_key_set(content)


def test_a_private_key_in_the_set_is_kept_as_its_public_half(issuer: TokenIssuer) -> None:
    whole = {**RSAAlgorithm.to_jwk(issuer.rsa, as_dict=True), "kid": "RSA"}
    whole.pop("key_ops", None)
    key = parse_key_set(json.dumps({"keys": [whole]}).encode())["RSA"].key
    assert not hasattr(key, "private_numbers")
