"""Settings of access: `CELLMARK_...` variables, so that a server, its workers and a container read the same."""

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass

from cellmark.schemas.errors import Finding, ParameterError

from ..environment_settings import EnvironmentSettings

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
TOGETHER = (("jwks_url", "jwt_issuer", "jwt_audience"), ("ssl_certfile", "ssl_keyfile"))
"""Settings that make no sense without the others of their group."""


@dataclass(frozen=True)
class AccessSettings(EnvironmentSettings):
    """Who may use the service. Raises `ParameterError` with all that is wrong."""

    PATHS = ("key_file", "ssl_certfile", "ssl_keyfile")

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

    @model_validator(mode="after")
    def _check_groups(self) -> Self:
        missing = [name for group in TOGETHER for name in _missing(self, group)]
        wrong: list[tuple[str, str, str | None]] = [
            (name, "a text beside its related settings", None) for name in missing
        ]
        if self.jwks_url is not None and not _is_safe(self.jwks_url):
            wrong.append(("jwks_url", "an https URL, or http on loopback", self.jwks_url))
        if wrong:
            raise ParameterError(*(self._of(name, expected, found) for name, expected, found in wrong))
        return self

    def _of(self, name: str, expected: str, found: str | None) -> Finding:
        problem = self._finding({"loc": (name,), "type": "", "input": found or ""})
        return replace(problem, expected=expected, found=problem.found if found else "nothing")


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
