"""Settings of access: `CELLMARK_...` variables, so that a server, its workers and a container read the same."""

import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, ModelWrapValidatorHandler, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from cellmark.schemas.errors import Finding, ParameterError

PREFIX = "CELLMARK_"
LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TOGETHER = (("jwks_url", "jwt_issuer", "jwt_audience"), ("ssl_certfile", "ssl_keyfile"))
"""Settings that make no sense without the others of their group."""
FILES = ("key_file", "ssl_certfile", "ssl_keyfile")


@dataclass(frozen=True)
class AccessSettings:
    """Who may use the service. Raises `ParameterError` with all that is wrong."""

    key_file: str | None = Field(default=None, description="file of API keys that `cellmark keys create` wrote")
    keys: str | None = Field(default=None, description="lines of such a file, where a file cannot be mounted")
    insecure: bool = Field(default=False, description="1 to answer everybody without keys, on any address")
    metrics_access: Literal["open", "key"] = Field(
        default="open", description="open, or key: `/metrics` needs a key or token with any scope"
    )
    jwks_url: str | None = Field(
        default=None, description="URL of the key set (JWKS) that tokens are signed with; https, or http on loopback"
    )
    jwt_issuer: str | None = Field(default=None, description="the claim `iss` that tokens must have")
    jwt_audience: str | None = Field(default=None, description="what the claim `aud` of tokens must name")
    jwt_nbf: Literal["required", "optional"] = Field(
        default="required", description="required, or optional for issuers that write no claim `nbf`"
    )
    jwt_leeway_seconds: int = Field(
        default=30, ge=0, le=300, description="how far the clocks of issuer and service may differ"
    )
    jwks_refresh_seconds: int = Field(
        default=300, ge=1, le=86400, description="age at which the key set is fetched again"
    )
    jwks_retry_seconds: int = Field(
        default=30, ge=1, le=86400, description="least time between two fetches, also for a `kid` that is not known"
    )

    ssl_certfile: str | None = Field(default=None, description="PEM file with the certificate (chain) for https")
    ssl_keyfile: str | None = Field(default=None, description="PEM file with the certificate's private key")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None, **changes: Any) -> Self:
        """Settings of `CELLMARK_...` variables; an empty one counts as not set. `changes` go before them."""
        given = os.environ if environment is None else environment
        texts = {entry.name: given.get(PREFIX + entry.name.upper(), "").strip() for entry in fields(cls)}
        return cls(**{**{name: text for name, text in texts.items() if text}, **changes})

    def to_environment(self) -> dict[str, str]:
        """The variables that give these settings again; workers run in another folder, so paths are whole."""
        values = asdict(self) | {"insecure": "1" if self.insecure else ""}
        values |= {name: os.path.abspath(values[name]) for name in FILES if values[name] is not None}
        return {PREFIX + name.upper(): "" if value is None else str(value) for name, value in values.items()}

    @property
    def path(self) -> Path | None:
        return None if self.key_file is None else Path(self.key_file)

    @property
    def uses_tokens(self) -> bool:
        return self.jwks_url is not None

    @property
    def is_guarded(self) -> bool:
        """Whether requests need a key or token."""
        return self.key_file is not None or self.keys is not None or self.uses_tokens

    @model_validator(mode="wrap")
    @classmethod
    def _check(cls, values: Any, handler: ModelWrapValidatorHandler[Self]) -> Self:
        try:
            settings = handler(values)
        except ValidationError as error:
            wrong = error.errors()
            raise ParameterError(
                *(_finding(cls, str(one["loc"][0]), one["msg"], one["input"]) for one in wrong)
            ) from None
        missing = [name for group in TOGETHER for name in _missing(settings, group)]
        if missing:
            raise ParameterError(*(_finding(cls, name, "a text beside its related settings", "") for name in missing))
        if settings.jwks_url is not None and not _is_safe(settings.jwks_url):
            raise ParameterError(_finding(cls, "jwks_url", "an https URL, or http on loopback", settings.jwks_url))
        return settings


def _missing(settings: AccessSettings, group: tuple[str, ...]) -> list[str]:
    """Settings of a group that lack, where others of it are given."""
    lacking = [name for name in group if getattr(settings, name) is None]
    return lacking if len(lacking) < len(group) else []


def _is_safe(url: str) -> bool:
    """Whether nobody between here and there can replace what is fetched."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    return bool(host) and (parts.scheme == "https" or (parts.scheme == "http" and host in LOOPBACK_NAMES))


def _finding(settings: type[AccessSettings], name: str, expected: str, found: Any) -> Finding:
    meaning = TypeAdapter(settings).json_schema()["properties"][name]["description"]
    return Finding(
        "PARAMETER_INVALID",
        where=PREFIX + name.upper(),
        expected=expected,
        found=repr(str(found)[:40]) if found else "nothing",
        remedy=f"Set {PREFIX}{name.upper()}: {meaning}.",
    )
