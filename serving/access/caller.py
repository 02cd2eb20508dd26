"""Who sent a request, as keys and tokens say."""

from dataclasses import dataclass

from .scopes import OPEN_SCOPES


@dataclass(frozen=True, slots=True)
class Caller:
    """`key_id`: the id of an API key, `jwt:` and the subject of a token, or None where no key is needed."""

    key_id: str | None
    scopes: frozenset[str]


ANYBODY = Caller(None, OPEN_SCOPES)
PROBE = Caller(None, frozenset())
"""Asks what is open to all."""
