import json
from typing import Any

import pytest
from mlflow.webhooks.delivery import _generate_hmac_signature

from cellmark.schemas.errors import RequestError
from cellmark.serving.versions.webhook import RegistryEvent, read_webhook

SECRET = "secret"
NOW = 1_800_000_000
MOVED = {
    "entity": "model_version_alias",
    "action": "created",
    "timestamp": "2027-01-15T08:00:00+00:00",
    "data": {"name": "pbmc", "alias": "champion", "version": "7"},
}


def read(message: Any = MOVED, *, secret: str | None = SECRET, at: int = NOW, **changed: str) -> RegistryEvent:
    body = json.dumps(message)
    headers = {
        "x-mlflow-delivery-id": "an-id",
        "x-mlflow-timestamp": str(at),
        # MLflow's own function, as its deliveries use it.
        "x-mlflow-signature": _generate_hmac_signature(SECRET, "an-id", str(at), body),
    }
    return read_webhook(
        {**headers, **{f"x-mlflow-{name}": text for name, text in changed.items()}}, body.encode(), secret, now=NOW
    )


def test_a_signed_message_is_read() -> None:
    assert read() == RegistryEvent("an-id", "pbmc", "champion")


def test_a_signed_event_of_something_else_has_no_alias() -> None:
    created = {**MOVED, "entity": "registered_model", "data": {"name": "pbmc", "tags": {}, "description": None}}
    assert read(created).alias is None


@pytest.mark.parametrize(
    "changes",
    [
        {"signature": ""},
        {"signature": "v1,AAAA"},
        {"signature": "ä"},
        {"timestamp": str(NOW + 1)},
        {"timestamp": "²"},
        {"timestamp": ""},
        {"timestamp": "9" * 400},
        {"delivery-id": "another"},
        {"delivery-id": ""},
    ],
    ids=str,
)
def test_what_is_not_signed_as_it_stands_is_refused(changes: dict[str, str]) -> None:
    body = json.dumps(MOVED)
    headers = {
        "x-mlflow-delivery-id": "an-id",
        "x-mlflow-timestamp": str(NOW),
        "x-mlflow-signature": _generate_hmac_signature(SECRET, "an-id", str(NOW), body),
        **{f"x-mlflow-{name}": text for name, text in changes.items()},
    }
    with pytest.raises(RequestError) as caught:
        read_webhook(headers, body.encode(), SECRET, now=NOW)
    assert (caught.value.code, caught.value.status) == ("WEBHOOK_UNSIGNED", 403)


@pytest.mark.parametrize("at", [NOW - 301, NOW + 301])
def test_an_old_message_is_refused_however_well_it_is_signed(at: int) -> None:
    with pytest.raises(RequestError) as caught:
        read(at=at)
    assert caught.value.code == "WEBHOOK_UNSIGNED"


@pytest.mark.parametrize("secret", [None, "", "another"])
def test_without_the_secret_no_message_is_taken(secret: str | None) -> None:
    with pytest.raises(RequestError) as caught:
        read(secret=secret)
    assert caught.value.code == "WEBHOOK_UNSIGNED"


@pytest.mark.parametrize(
    "message", [[], {}, "text", {"entity": "model_version_alias", "data": {}}, {"data": []}], ids=str
)
def test_a_signed_document_of_another_form_is_refused(message: Any) -> None:
    with pytest.raises(RequestError) as caught:
        read(message)
    assert caught.value.code == "REQUEST_INVALID"
