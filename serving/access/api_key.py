"""API keys: random, shown once, kept as salted hashes.

A key holds 256 random bits, so nobody can guess one, with or without its hash. A slow hash as for passwords would
protect nothing more, and would cost every request a tenth of a second that anybody could ask for. One pass of BLAKE2b
is right; the salt keeps equal keys, and tables made in advance, from being recognised.
"""

import base64
import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Self

KEY_PREFIX = "cm_"
KEY = re.compile(r"cm_([a-z2-7]{8})_([a-z2-7]{52})")
ID_BYTES, SECRET_BYTES, SALT_BYTES = 5, 32, 16
PERSON = b"cellmark-key"


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as its owner has it. `key_id`: public, 8 characters. `secret`: 52 characters, 256 random bits."""

    key_id: str
    secret: str

    @classmethod
    def new(cls) -> Self:
        return cls(_text(secrets.token_bytes(ID_BYTES)), _text(secrets.token_bytes(SECRET_BYTES)))

    @classmethod
    def parse(cls, text: str) -> Self | None:
        """None for a text that is no key."""
        found = KEY.fullmatch(text)
        return cls(found[1], found[2]) if found else None

    def __str__(self) -> str:
        return f"{KEY_PREFIX}{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        return f"ApiKey({self.key_id})"  # never the secret: a log may show this


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """What the service keeps of a key. Times are aware; `expires` and `revoked` are None where that is not so."""

    key_id: str
    salt: bytes
    digest: bytes
    scopes: frozenset[str]
    created: datetime
    expires: datetime | None = None
    revoked: datetime | None = None
    name: str = ""

    @classmethod
    def of(
        cls, key: ApiKey, scopes: frozenset[str], *, created: datetime, expires: datetime | None, name: str = ""
    ) -> Self:
        salt = secrets.token_bytes(SALT_BYTES)
        return cls(key.key_id, salt, digest_of(key.secret, salt), scopes, created, expires, name=name)

    def matches(self, key: ApiKey) -> bool:
        """Whether the secret is this key's, in a time that does not depend on how much of it is right."""
        return hmac.compare_digest(digest_of(key.secret, self.salt), self.digest)

    def has_expired(self, now: float) -> bool:
        """`now`: seconds since 1970."""
        return self.expires is not None and now >= self.expires.timestamp()


def digest_of(secret: str, salt: bytes) -> bytes:
    """32 bytes."""
    return hashlib.blake2b(secret.encode("ascii"), digest_size=32, salt=salt, person=PERSON).digest()


def _text(random: bytes) -> str:
    return base64.b32encode(random).decode("ascii").rstrip("=").lower()
