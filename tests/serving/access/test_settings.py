"""Settings of access, and where a service without keys may start."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from cellmark.schemas.errors import CellmarkError, ParameterError, SetupError
from cellmark.serving.access.access import Access
from cellmark.serving.access.api_key import ApiKey, KeyRecord
from cellmark.serving.access.exposure import refuse_exposure, refuse_from_elsewhere
from cellmark.serving.access.key_file import add_key
from cellmark.serving.access.settings import AccessSettings
from fixtures.places import ROOT

TOKENS = {"jwks_url": "https://id.example.org/keys", "jwt_issuer": "https://id.example.org", "jwt_audience": "cells"}


@pytest.fixture
def key_file(tmp_path: Path) -> Path:
    path = tmp_path / "keys.jsonl"
    key = KeyRecord.of(ApiKey.new(), frozenset({"annotate"}), created=datetime.now(UTC), expires=None)
    add_key(path, key)
    return path


def test_settings_travel_through_the_environment(key_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(key_file.parent)
    settings = AccessSettings(key_file="keys.jsonl", insecure=True, metrics_access="key", **TOKENS)  # type: ignore[arg-type]
    there = AccessSettings.from_environment(settings.to_environment())
    assert there.key_file == str(key_file)  # whole: workers run in another folder
    assert (there.insecure, there.metrics_access, there.jwks_url) == (True, "key", TOKENS["jwks_url"])
    assert AccessSettings.from_environment({}).to_environment() == AccessSettings().to_environment()


@pytest.mark.parametrize(
    ("wrong", "variable"),
    [
        ({"CELLMARK_METRICS_ACCESS": "closed"}, "CELLMARK_METRICS_ACCESS"),
        ({"CELLMARK_INSECURE": "perhaps"}, "CELLMARK_INSECURE"),
        ({"CELLMARK_JWKS_URL": "https://id.example.org/keys"}, "CELLMARK_JWT_ISSUER"),
        ({"CELLMARK_JWT_AUDIENCE": "cells"}, "CELLMARK_JWKS_URL"),
        ({"CELLMARK_SSL_CERTFILE": "cert.pem"}, "CELLMARK_SSL_KEYFILE"),
        ({"CELLMARK_JWT_LEEWAY_SECONDS": "86400"}, "CELLMARK_JWT_LEEWAY_SECONDS"),
    ],
)
def test_wrong_variables_are_named(wrong: dict[str, str], variable: str) -> None:
    with pytest.raises(ParameterError) as raised:
        AccessSettings.from_environment(wrong)
    assert variable in {finding.where for finding in raised.value.findings}


@pytest.mark.parametrize(
    "url", ["http://id.example.org/keys", "file:///etc/passwd", "keys", "https://", "ftp://127.0.0.1/"]
)
def test_key_sets_come_by_https_or_from_this_machine(url: str) -> None:
    with pytest.raises(ParameterError, match="CELLMARK_JWKS_URL"):
        AccessSettings(**{**TOKENS, "jwks_url": url})  # type: ignore[arg-type]
    AccessSettings(**{**TOKENS, "jwks_url": "http://127.0.0.1:8000/keys"})  # type: ignore[arg-type]


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "192.168.1.7", "10.0.0.1", "fe80::1%eth0"])
def test_beyond_loopback_a_service_needs_keys(address: str, key_file: Path) -> None:
    with pytest.raises(SetupError, match=r"cellmark keys create --key-file keys\.jsonl") as raised:
        refuse_exposure(address, AccessSettings())
    assert raised.value.code == "KEYS_NEEDED"
    refuse_exposure(address, AccessSettings(insecure=True))
    refuse_exposure(address, AccessSettings(key_file=str(key_file)))
    refuse_exposure(address, AccessSettings(**TOKENS))  # type: ignore[arg-type]
    refuse_exposure(address, AccessSettings(keys=key_file.read_text()))


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.8.8", "::1"])
def test_on_loopback_none_are_needed(address: str) -> None:
    refuse_exposure(address, AccessSettings())


def test_keys_and_certificates_that_cannot_be_read_are_said_before_the_start(tmp_path: Path) -> None:
    for settings in (
        AccessSettings(key_file=str(tmp_path / "none")),
        AccessSettings(keys="no key"),
        AccessSettings(ssl_certfile=str(tmp_path / "a.pem"), ssl_keyfile=str(tmp_path / "b.pem")),
    ):
        with pytest.raises(CellmarkError):
            refuse_exposure("127.0.0.1", settings)


def test_a_service_without_keys_looks_at_where_connections_arrive() -> None:
    for server in (("127.0.0.1", 3000), ("::1", 3000), ("/run/cellmark.sock", None), None):
        refuse_from_elsewhere(server)
    for server in (("192.168.1.7", 3000), ("testserver", 80)):
        with pytest.raises(CellmarkError, match="KEYS_NEEDED"):
            refuse_from_elsewhere(server)


def test_keys_of_the_environment_count(key_file: Path) -> None:
    assert Access.of(AccessSettings(keys=key_file.read_text())).is_guarded
    assert not Access.of(AccessSettings()).is_guarded


def test_the_page_names_every_variable() -> None:
    rows = re.findall(r"^\| `(CELLMARK_\w+)` \|[^|]*\| (.+) \|$", (ROOT / "docs/access.md").read_text("utf-8"), re.M)
    fields = TypeAdapter(AccessSettings).json_schema()["properties"]
    assert dict(rows) == {f"CELLMARK_{name.upper()}": field["description"] for name, field in fields.items()}
