"""Settings of the audit log: environment variables, so that a server, its workers and a container read the same."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from cellmark.schemas.audit.audit_log import AuditLog, audit_url, open_audit_log

from ..environment_settings import EnvironmentSettings


@dataclass(frozen=True)
class AuditSettings(EnvironmentSettings):
    """`audit`: None leaves the log off; receipts are always given. Raises `ParameterError` with all that is wrong."""

    audit: str | None = Field(default=None, description="path of a SQLite file, or postgresql://USER@HOST/DATABASE")
    audit_create: bool = Field(default=True, description="whether to begin a new log where there is none")
    audit_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=5.0, description="seconds that a row waits for the disk or the database before its answer is refused"
    )
    audit_max_bytes: Annotated[int, Field(ge=65536, le=2**53)] | None = Field(
        default=None, description="largest SQLite file; beyond it nothing is answered"
    )

    @property
    def url(self) -> str | None:
        """Where the log is, the same for every process. Raises `ParameterError`."""
        return None if self.audit is None else audit_url(self.audit)

    def open(self) -> AuditLog:
        """The log, which there must be one of. Raises as `open_audit_log`."""
        assert self.url is not None  # noqa: S101
        return open_audit_log(
            self.url, create=self.audit_create, wait_seconds=self.audit_seconds, max_bytes=self.audit_max_bytes
        )
