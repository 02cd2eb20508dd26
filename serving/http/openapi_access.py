"""What the OpenAPI document says of keys and tokens, when the service asks for them."""

from typing import Any

from ..access.access import Access
from ..access.scopes import Need, Needed
from .openapi_parts import refusals

SCHEME = "bearer"
KEY_CODES = ("KEY_MISSING", "KEY_INVALID", "KEY_EXPIRED", "KEY_REVOKED", "KEY_FILE_INVALID")
TOKEN_CODES = ("TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_KEYS_UNREACHABLE")
CHALLENGE = {"schema": {"type": "string"}, "description": "What is missing or wrong (RFC 6750)."}
DESCRIPTION = (
    "An API key (`cm_...`, made by `cellmark keys create`), or a token (JWT) of the issuer that the service trusts."
)


class DescribeAccess:
    """Adds the security scheme, and to each operation its scope and refusals."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._codes = (*KEY_CODES, *(TOKEN_CODES if access.takes_tokens else ()))

    def __call__(self, document: dict[str, Any]) -> None:
        """Changes the document."""
        for path, operations in document["paths"].items():
            need = self._access.need_of(path.replace("{", "").replace("}", ""))
            if need is Need.NOTHING or not (self._access.is_guarded or need == "admin"):
                continue
            for operation in operations.values():
                self._guard(operation, need)
        document["components"].setdefault("securitySchemes", {})[SCHEME] = {
            "type": "http",
            "scheme": "bearer",
            "description": DESCRIPTION,
        }

    def _guard(self, operation: dict[str, Any], need: Needed) -> None:
        scoped = not isinstance(need, Need)
        operation["security"] = [{SCHEME: [need] if scoped else []}]
        for status, refused in refusals((*self._codes, *(("SCOPE_MISSING",) if scoped else ()))).items():
            there = operation["responses"].setdefault(status, refused)
            if there is not refused:
                there["description"] += "\n" + refused["description"]
            if status in ("401", "403"):
                there["headers"] = {"WWW-Authenticate": CHALLENGE}
