"""The id of a request: the caller's own, where it is sane, so that one id follows a request through many services."""

import os
import re
from collections.abc import Iterable

HEADER = b"x-request-id"
SANE = re.compile(rb"[A-Za-z0-9._~:/+=@-]{1,128}")
"""Short, printable, and nothing that a log, a header or a shell could take for its own."""


def request_id_of(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The header `X-Request-ID` of an ASGI scope; 32 random hexadecimal digits where there is none, several, or one
    that is not `SANE`.
    """
    given = [value for name, value in headers if name == HEADER]
    if len(given) == 1 and SANE.fullmatch(given[0]):
        return given[0].decode("ascii")
    return os.urandom(16).hex()
