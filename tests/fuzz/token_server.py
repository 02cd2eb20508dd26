"""An issuer of tokens on 127.0.0.1, for a service that trusts it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from cellmark.schemas.api.strict_json import write_json

ISSUER, AUDIENCE, KID = "https://id.example.org", "cellmark", "now"


@dataclass(frozen=True)
class TokenServer:
    """`url`: of its key set."""

    url: str
    key: ec.EllipticCurvePrivateKey

    @property
    def environment(self) -> dict[str, str]:
        """What makes a service trust it."""
        return {
            "CELLMARK_JWKS_URL": self.url,
            "CELLMARK_JWT_ISSUER": ISSUER,
            "CELLMARK_JWT_AUDIENCE": AUDIENCE,
        }

    def token(self, scope: str, *, seconds: int = 3600, key: ec.EllipticCurvePrivateKey | None = None) -> str:
        """A token that counts for `seconds` from now. `key`: another one than the issuer's."""
        now = int(time.time())
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "fuzz",
            "nbf": now - 7200,
            "exp": now + seconds,
            "scope": scope,
        }
        return jwt.encode(claims, key or self.key, "ES256", headers={"kid": KID})


@contextmanager
def token_server() -> Iterator[TokenServer]:
    """Answers until the block ends."""
    key = ec.generate_private_key(ec.SECP256R1())
    content = write_json({"keys": [{**ECAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": KID}]})

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield TokenServer(f"http://127.0.0.1:{server.server_port}/keys", key)
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
