"""The key set over real HTTP: from the configured URL alone, whole, small and in time."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import anyio
import pytest

from cellmark.serving.access.access import Access
from cellmark.serving.access.key_set import LARGEST_SET, FetchError, fetch_key_set
from cellmark.serving.access.settings import AccessSettings
from fixtures.token_issuer import AUDIENCE, ISSUER, TokenIssuer


class Pages(BaseHTTPRequestHandler):
    """What an issuer might answer, by path."""

    keys: ClassVar[bytes] = b""
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)
        status, content = {
            "/keys": (200, self.keys),
            "/moved": (302, b""),
            "/large": (200, b"x" * (LARGEST_SET + 1)),
        }.get(self.path, (404, b""))
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/keys")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def issuer() -> TokenIssuer:
    return TokenIssuer()


@pytest.fixture
def url(issuer: TokenIssuer) -> Iterator[str]:
    Pages.keys = issuer.key_set()
    Pages.asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_redirects_errors_and_large_answers_are_no_key_sets(url: str) -> None:
    assert fetch_key_set(f"{url}/keys") == Pages.keys
    for page in ("/moved", "/large", "/nothing"):
        with pytest.raises(FetchError):
            fetch_key_set(url + page)
    with pytest.raises(FetchError):
        fetch_key_set("http://127.0.0.1:1/keys")
    assert Pages.asked == ["/keys", "/moved", "/large", "/nothing"]


def test_a_token_is_checked_with_the_keys_of_the_url(url: str, issuer: TokenIssuer) -> None:
    settings = AccessSettings(jwks_url=f"{url}/keys", jwt_issuer=ISSUER, jwt_audience=AUDIENCE)
    access = Access.of(settings)

    async def ask() -> None:
        for _ in range(3):
            caller = await access.admit("/model", [f"Bearer {issuer.token(jku=url + '/nothing')}"])
            assert caller.key_id == "jwt:mara"

    anyio.run(ask)
    assert Pages.asked == ["/keys"]
