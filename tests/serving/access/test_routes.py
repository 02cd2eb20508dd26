"""Every route with every kind of credential: what is refused, how, and that nothing else is."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from cellmark.schemas.bundle import Bundle
from cellmark.serving import Annotator
from cellmark.serving.access.access import Access
from cellmark.serving.access.api_key import ApiKey, KeyRecord
from cellmark.serving.access.key_file import add_key, revoke_key
from cellmark.serving.access.key_ring import KeyRing
from cellmark.serving.access.key_set import RemoteKeySet
from cellmark.serving.access.scopes import SCOPES, Need, RouteNeeds
from cellmark.serving.access.settings import AccessSettings
from cellmark.serving.access.tokens import TokenRules, TokenVerifier
from cellmark.serving.app import make_app
from cellmark.serving.context import context_of
from cellmark.serving.http.guard import AccessGuard
from cellmark.serving.http.openapi_access import DescribeAccess
from cellmark.serving.http.parts import ServiceParts
from cellmark.serving.http.settings import ServiceSettings
from cellmark.serving.service_parts import service_parts
from fixtures.token_issuer import AUDIENCE, ISSUER, TokenIssuer

NOW = datetime.now(UTC)
ALL = frozenset(SCOPES)
UNKNOWN_KEY = "Bearer cm_aaaaaaaa_" + "a" * 52


async def who(request: Request) -> JSONResponse:
    context = context_of(request.scope)
    return JSONResponse({"key_id": context.key_id, "scopes": sorted(context.scopes)})


async def metrics(request: Request) -> JSONResponse:
    return JSONResponse({})


FURTHER = (
    Route("/admin/who", who, methods=["GET", "POST"]),
    Route("/models/{name}/attribute", who),
    Route("/models/{name}", who),
    Route("/v2/health/live", who),
    Route("/v2/models/{name}/infer", who),
    Route("/jobs/{id}", who),
    Route("/metrics", metrics),
    Route("/forgotten", who),  # by whoever added it: it must not be open
)
"""Stand in for routes that other rooms, and BentoML, bring."""


@dataclass(frozen=True)
class Guarded:
    """A guarded application. `keys`: headers by what is right or wrong with them."""

    client: TestClient
    access: Access
    credentials: dict[str, str]
    key_file: Path

    def ask(self, method: str, path: str, credential: str | None = None, **options: Any) -> Any:
        headers = {} if credential is None else {"Authorization": self.credentials.get(credential, credential)}
        return self.client.request(method, path, headers=headers, follow_redirects=False, **options)


def guarded_app(model: Annotator, access: Access, *, insecure: bool = False) -> TestClient:
    guard = Middleware(AccessGuard, access=access, insecure=insecure)
    parts = ServiceParts(middlewares=[guard], routes=FURTHER, documents=[DescribeAccess(access)])
    return TestClient(make_app(model, parts=parts), base_url="http://127.0.0.1:3000", raise_server_exceptions=False)


@pytest.fixture(scope="module")
def model(tiny_bundle: Bundle) -> Annotator:
    return Annotator.load(tiny_bundle.folder)


@pytest.fixture(scope="module")
def guarded(model: Annotator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    path = tmp_path_factory.mktemp("keys") / "keys.jsonl"
    issuer = TokenIssuer()

    def key(scopes: frozenset[str] = ALL, expires: datetime | None = None) -> ApiKey:
        made = ApiKey.new()
        add_key(path, KeyRecord.of(made, scopes, created=NOW, expires=expires))
        return made

    keys = {"all": key(), "expired": key(expires=NOW - timedelta(seconds=1)), "revoked": key()}
    keys |= {scope: key(frozenset({scope})) for scope in SCOPES}
    keys |= {f"not {scope}": key(ALL - {scope}) for scope in SCOPES}
    revoke_key(path, keys["revoked"].key_id, NOW)
    tokens = {
        "token": issuer.token(scope="annotate explain admin"),
        "expired token": issuer.token(exp=int(time.time()) - 1000, scope="annotate explain admin"),
        "token of none": issuer.token(scope="openid"),
        "token unsigned": issuer.forged({"alg": "none", "kid": "RSA"}),
    }
    keys_of_issuer = RemoteKeySet("https://id.example.org", refresh=300, retry=30, fetch=lambda _: issuer.key_set())
    verifier = TokenVerifier(keys_of_issuer, TokenRules(ISSUER, AUDIENCE))
    access = Access(RouteNeeds(open_metrics=False), KeyRing(path), verifier)
    texts = {name: str(value) for name, value in (keys | tokens).items()}
    with guarded_app(model, access) as client:
        yield Guarded(client, access, {name: f"Bearer {text}" for name, text in texts.items()}, path)


def routes(guarded: Guarded) -> list[tuple[str, str]]:
    """Method and path of every route of the application."""
    app: Any = guarded.client.app
    return [
        (
            method,
            route.path.replace("{name}", "tiny")
            .replace("{version}", "1")
            .replace("{id}", "1")
            .replace("{file}", "page.js"),
        )
        for route in app.routes
        for method in sorted(route.methods)
    ]


def test_every_route_of_the_application_has_its_place_in_the_table(model: Annotator) -> None:
    app = make_app(model, parts=service_parts(ServiceSettings()))
    paths = [route.path for route in app.routes]  # type: ignore[attr-defined]
    assert len(paths) >= 9
    assert [path for path in paths if RouteNeeds().of(path) is Need.UNKNOWN] == []


def test_without_a_credential_only_open_routes_are_answered(guarded: Guarded) -> None:
    opened = set()
    for method, path in routes(guarded):
        answer = guarded.ask(method, path)
        if guarded.access.need_of(path) is Need.NOTHING:
            # What MLflow sends is signed; everything else needs nothing.
            assert answer.status_code == 200 or answer.json()["code"] == "WEBHOOK_UNSIGNED"
            opened.add(path)
            continue
        assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="cellmark"')
        if method != "HEAD":
            assert answer.json()["code"] == "KEY_MISSING"
    pages = {"/", "/page/page.js", "/docs", "/openapi.json", "/docs.json"}
    assert opened == {*pages, "/v2/health/live", "/v2/health/ready", "/admin/webhook"}


@pytest.mark.parametrize(
    ("credential", "code"),
    [
        (UNKNOWN_KEY, "KEY_INVALID"),
        ("Basic YTpi", "KEY_INVALID"),
        ("Bearer a.b.c", "TOKEN_INVALID"),
        ("Bearer x", "TOKEN_INVALID"),
        ("Bearer é", "TOKEN_INVALID"),
        ("bearer", "KEY_INVALID"),
        ("expired", "KEY_EXPIRED"),
        ("revoked", "KEY_REVOKED"),
        ("expired token", "TOKEN_EXPIRED"),
        ("token unsigned", "TOKEN_INVALID"),
    ],
)
def test_a_credential_that_is_wrong_is_refused_by_every_guarded_route(
    guarded: Guarded, credential: str, code: str
) -> None:
    header = guarded.credentials.get(credential, credential).encode("latin-1")
    asked = 0
    for method, path in routes(guarded):
        if guarded.access.need_of(path) is Need.NOTHING or method == "HEAD":
            continue
        answer = guarded.client.request(method, path, headers={"Authorization": header})
        assert (answer.status_code, answer.json()["code"]) == (401, code), path
        assert answer.headers["www-authenticate"] == 'Bearer realm="cellmark", error="invalid_token"'
        assert answer.headers["content-type"] == "application/problem+json"
        asked += 1
    assert asked >= 12


def test_a_scope_opens_its_routes_and_no_other(guarded: Guarded) -> None:
    for method, path in routes(guarded):
        need = guarded.access.need_of(path)
        if isinstance(need, Need) or method == "HEAD":
            continue
        for lacking in (f"not {need}", "token of none"):
            answer = guarded.ask(method, path, lacking)
            assert (answer.status_code, answer.json()["code"]) == (403, "SCOPE_MISSING"), path
            assert answer.headers["www-authenticate"].endswith(f'error="insufficient_scope", scope="{need}"')
        for enough in (need, "all", "token"):
            answer = guarded.ask(method, path, enough)
            assert answer.status_code not in (401, 403), path
            # The registry of this application has no version.
            assert answer.status_code != 404 or answer.json()["code"] == "MODEL_UNKNOWN", path


def test_a_route_that_the_table_does_not_know_is_never_reached(guarded: Guarded) -> None:
    for path in ("/forgotten", "/nowhere", "/forgotten/", "/%66orgotten"):
        assert guarded.ask("GET", path).status_code == 401
        answer = guarded.ask("GET", path, "all")
        assert (answer.status_code, answer.json()["code"]) == (404, "ROUTE_UNKNOWN")


def test_metrics_take_any_key(guarded: Guarded) -> None:
    for scope in SCOPES:
        assert guarded.ask("GET", "/metrics", scope).status_code == 200
    assert guarded.ask("GET", "/metrics").status_code == 401


def test_the_context_names_who_asks(guarded: Guarded) -> None:
    asked = guarded.ask("GET", "/admin/who", "all").json()
    assert asked == {"key_id": guarded.credentials["all"][10:18], "scopes": sorted(SCOPES)}
    assert guarded.ask("GET", "/admin/who", "token").json()["key_id"] == "jwt:mara"


def test_the_context_of_a_refusal_names_a_caller_who_is_known(guarded: Guarded, model: Annotator) -> None:
    seen: list[tuple[str | None, str | None]] = []

    class Watch:
        def __init__(self, app: ASGIApp) -> None:
            self.app = app

        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
            await self.app(scope, receive, send)
            if scope["type"] == "http":
                context = context_of(scope)
                seen.append((context.code, context.key_id))

    middlewares = [Middleware(Watch), Middleware(AccessGuard, access=guarded.access)]
    with TestClient(make_app(model, parts=ServiceParts(middlewares=middlewares))) as client:
        for credential in ("revoked", "expired", "admin"):
            header = guarded.credentials[credential]
            client.get("/model", headers={"Authorization": header})
            assert seen[-1][1] == header[10:18]
            # Who knows the id alone is nobody.
            client.get("/model", headers={"Authorization": header[:19] + "a" * 52})
            assert seen[-1] == ("KEY_INVALID", None)
    assert {code for code, _ in seen} == {"KEY_REVOKED", "KEY_EXPIRED", "SCOPE_MISSING", "KEY_INVALID"}


def test_two_headers_are_none(guarded: Guarded) -> None:
    headers = [("Authorization", guarded.credentials["all"]), ("Authorization", guarded.credentials["token"])]
    assert guarded.client.get("/model", headers=headers).json()["code"] == "KEY_MISSING"


def test_keys_elsewhere_than_in_the_header_do_not_count(guarded: Guarded) -> None:
    key = guarded.credentials["all"].removeprefix("Bearer ")
    for options in ({"params": {"key": key, "access_token": key}}, {"cookies": {"Authorization": f"Bearer {key}"}}):
        guarded.client.cookies.clear()
        assert guarded.client.get("/model", **options).status_code == 401  # type: ignore[arg-type]
    guarded.client.cookies.clear()


def test_refusals_repeat_nothing_of_the_credential(guarded: Guarded) -> None:
    for credential in (*guarded.credentials.values(), UNKNOWN_KEY):
        secret = credential.rpartition("_")[2][-40:]
        assert secret not in guarded.ask("GET", "/forgotten", credential).text


def test_a_key_that_is_revoked_is_refused_at_once(guarded: Guarded) -> None:
    key = ApiKey.new()
    add_key(guarded.key_file, KeyRecord.of(key, ALL, created=NOW, expires=None))
    assert guarded.ask("GET", "/model", f"Bearer {key}").status_code == 200
    revoke_key(guarded.key_file, key.key_id, NOW)
    assert guarded.ask("GET", "/model", f"Bearer {key}").json()["code"] == "KEY_REVOKED"


def test_the_document_says_what_each_route_needs(guarded: Guarded) -> None:
    document = guarded.ask("GET", "/openapi.json").json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    problem = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    for path, operations in document["paths"].items():
        need = guarded.access.need_of(path)
        for method, operation in operations.items():
            if need is Need.NOTHING:
                assert "security" not in operation
                continue
            scopes = [] if isinstance(need, Need) else [need]
            assert operation["security"] == [{"bearer": scopes}]
            answer = guarded.ask(method, path)
            assert answer.json()["code"] in operation["responses"]["401"]["description"]
            Draft202012Validator(problem).validate(json.loads(answer.content))
            assert ("403" in operation["responses"]) == bool(scopes)


def test_without_keys_everything_but_admin_is_open_on_loopback(model: Annotator) -> None:
    access = Access.of(AccessSettings())
    with guarded_app(model, access) as client:
        for path in ("/model", "/markers", "/metrics", "/forgotten"):
            assert client.get(path).status_code == 200
        assert client.get("/models/pbmc/attribute").json() == {"key_id": None, "scopes": ["annotate", "explain"]}
        assert client.get("/admin/who").json()["code"] == "KEY_MISSING"
        document = client.get("/openapi.json").json()
        secured = {path for path, item in document["paths"].items() for one in item.values() if "security" in one}
        assert secured == {"/admin/reload", "/admin/rollback", "/admin/shadow"}


def test_without_keys_nothing_is_answered_on_other_addresses(model: Annotator) -> None:
    parts = ServiceParts(middlewares=[Middleware(AccessGuard, access=Access.of(AccessSettings()))])
    with TestClient(make_app(model, parts=parts), base_url="http://192.168.1.7:3000") as client:
        answer = client.get("/model", headers={"Host": "127.0.0.1", "X-Forwarded-Host": "127.0.0.1"})
        assert (answer.status_code, answer.json()["code"]) == (503, "KEYS_NEEDED")
        assert client.get("/openapi.json").status_code == 200
    with guarded_app(model, Access.of(AccessSettings()), insecure=True) as client:
        client.base_url = "http://192.168.1.7:3000"  # type: ignore[assignment]
        assert client.get("/model").status_code == 200


def test_websockets_are_never_opened(guarded: Guarded) -> None:
    with pytest.raises(WebSocketDisconnect), guarded.client.websocket_connect("/model"):
        pytest.fail("opened")
