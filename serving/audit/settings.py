"""Settings of the audit log: environment variables, so that a server, its workers and a container read the same."""

import os
from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated, Self

from pydantic import Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from cellmark.schemas.audit.audit_log import AuditLog, audit_url, open_audit_log
from cellmark.schemas.errors import Finding, ParameterError

PREFIX = "CELLMARK_"


@dataclass(frozen=True)
class AuditSettings:
    """`audit`: None leaves the log off; receipts are always given. Raises `ParameterError` with all that is wrong."""

    audit: str | None = Field(default=None, description="path of a SQLite file, or postgresql://USER@HOST/DATABASE")
    audit_create: bool = Field(default=True, description="whether to begin a new log where there is none")
    audit_seconds: Annotated[float, Field(gt=0, le=600)] = Field(
        default=5.0, description="seconds that a row waits for the disk or the database before its answer is refused"
    )
    audit_max_bytes: Annotated[int, Field(ge=65536, le=2**53)] | None = Field(
        default=None, description="largest SQLite file; beyond it nothing is answered"
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Settings of `CELLMARK_AUDIT...` variables; an empty one counts as not set."""
        given = os.environ if environment is None else environment
        texts = {entry.name: given.get(PREFIX + entry.name.upper(), "").strip() for entry in fields(cls)}
        try:
            return cls(**{name: text for name, text in texts.items() if text})  # type: ignore[arg-type]
        except ValidationError as error:
            properties = TypeAdapter(cls).json_schema()["properties"]
            findings = []
            for problem in error.errors():
                name = str(problem["loc"][0])
                variable = PREFIX + name.upper()
                findings.append(
                    Finding(
                        "PARAMETER_INVALID",
                        where=variable,
                        expected=problem["msg"].removeprefix("Input should be "),
                        found=repr(str(problem["input"])[:40]),
                        remedy=f"Set {variable}: {properties[name]['description']}.",
                    )
                )
            raise ParameterError(*findings) from None

    def to_environment(self) -> dict[str, str]:
        """The variables that give these settings again."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {PREFIX + name.upper(): "" if value is None else str(value) for name, value in values.items()}

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
