"""MLflow's signed messages about its registry, checked by signature and time (`mlflow/webhooks/delivery.py`).

The signature is `v1,` and the base64 of HMAC-SHA256 over `delivery id.timestamp.body`, keyed with the webhook's secret.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass

from cellmark.schemas.errors import RequestError

SIGNATURE = "x-mlflow-signature"
TIMESTAMP = "x-mlflow-timestamp"
DELIVERY = "x-mlflow-delivery-id"
VERSION = "v1,"
WINDOW_SECONDS = 300
LARGEST_BODY = 64 * 1024
LONGEST_ID = 128


@dataclass(frozen=True)
class RegistryEvent:
    """What a message says: an alias of `name` was set or deleted. `alias`: None for other
    events.
    """

    delivery: str
    name: str
    alias: str | None


def read_webhook(headers: Mapping[str, str], body: bytes, secret: str | None, *, now: float) -> RegistryEvent:
    """The event of a message that MLflow signed with `secret`. `headers`: names in lower case; `now`: Unix time.

    Raises `RequestError`: `WEBHOOK_UNSIGNED` for any other message, one that is older or newer than five minutes, and
    where no secret is set; `REQUEST_INVALID` for a signed one of another form.
    """
    if not secret:
        raise _unsigned("CELLMARK_WEBHOOK_SECRET to be set", "no secret")
    delivery, timestamp, given = (headers.get(name, "") for name in (DELIVERY, TIMESTAMP, SIGNATURE))
    if not delivery or len(delivery) > LONGEST_ID or not timestamp.isascii() or not timestamp.isdigit():
        raise _unsigned("MLflow's headers of a signed message", "others")
    if len(timestamp) > 12 or abs(now - int(timestamp)) > WINDOW_SECONDS:
        raise _unsigned(f"a message of the last {WINDOW_SECONDS} s", "an older or a later one")
    signed = b".".join((delivery.encode("latin-1", "replace"), timestamp.encode("ascii"), body))
    digest = hmac.new(secret.encode("utf-8"), signed, hashlib.sha256).digest()
    expected = VERSION + base64.b64encode(digest).decode("ascii")
    if not hmac.compare_digest(expected.encode("ascii"), given.encode("utf-8", "replace")):
        raise _unsigned("a message signed with CELLMARK_WEBHOOK_SECRET", "another signature, or none")
    return _event(delivery, body)


def _event(delivery: str, body: bytes) -> RegistryEvent:
    try:
        message = json.loads(body)
        data = message["data"]
        is_alias = message["entity"] == "model_version_alias"
        return RegistryEvent(delivery, str(data.get("name", "")), str(data["alias"]) if is_alias else None)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise RequestError.of(
            "REQUEST_INVALID",
            where="body",
            expected="an event of MLflow's model registry",
            found="another document",
            remedy="Make the webhook with MLflow: client.create_webhook(...), as docs/following.md shows.",
        ) from None


def _unsigned(expected: str, found: str) -> RequestError:
    return RequestError.of(
        "WEBHOOK_UNSIGNED",
        where="webhook",
        expected=expected,
        found=found,
        remedy="Set CELLMARK_WEBHOOK_SECRET to the secret of MLflow's webhook, and check both clocks.",
    )
