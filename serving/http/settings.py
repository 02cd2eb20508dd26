"""The service's settings: environment variables, so that a server, its workers and a container read the same."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import get_args

from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.errors import Finding, ParameterError

from ..reader.reader_process import ReaderBudget
from ..reader.reading_rules import ReadingRules
from ..scoring.session import Device

PREFIX = "CELLMARK_"
MEANINGS = {
    "model": "bundle folder or MLflow URI",
    "model_name": "name that answers give, in place of the bundle's own",
    "model_version": "version of the registered model that answers give",
    "device": "cpu or cuda",
    "workers": "server processes, each with a model of its own",
    "threads": "threads of onnxruntime within one chunk of cells",
    "concurrency": "requests that one worker computes at a time; others wait",
    "max_upload_bytes": "largest body with a file",
    "max_json_bytes": "largest JSON body",
    "max_unpacked_bytes": "largest .npz, unpacked",
    "max_cells": "most cells of a file",
    "max_genes": "most genes (features) of a file",
    "max_nonzeros": "most values in a file's matrix; of a dense one all count",
    "read_seconds": "processor time that reading a file may take, and one second more for every MiB of it",
    "reader_memory_bytes": "memory that reading a file may take",
}
MIB = 1024**2


@dataclass(frozen=True)
class ServiceSettings:
    """Settings of one service; `MEANINGS` says what each is. The variable of `max_json_bytes` is
    `CELLMARK_MAX_JSON_BYTES`, and so on.
    """

    model: str | None = None
    model_name: str | None = None
    model_version: str | None = None
    device: Device = "cpu"
    workers: int = 1
    threads: int = 1
    concurrency: int = 4
    max_upload_bytes: int = 256 * MIB
    max_json_bytes: int = 64 * MIB
    max_unpacked_bytes: int = 2048 * MIB
    max_cells: int = 1_000_000
    max_genes: int = 500_000
    max_nonzeros: int = 500_000_000
    read_seconds: int = 5
    reader_memory_bytes: int = 4096 * MIB

    def __post_init__(self) -> None:
        findings = [
            _invalid(entry.name, "a whole number of at least 1", str(getattr(self, entry.name)))
            for entry in fields(self)
            if isinstance(entry.default, int) and getattr(self, entry.name) < 1
        ]
        if self.device not in get_args(Device):
            findings.append(_invalid("device", "cpu or cuda", repr(self.device)))
        if findings:
            raise ParameterError(*findings)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ServiceSettings":
        """Settings of `CELLMARK_...` variables; an empty one counts as not set. Raises `ParameterError`."""
        given = os.environ if environment is None else environment
        values: dict[str, str | int] = {}
        findings = []
        for entry in fields(cls):
            text = given.get(PREFIX + entry.name.upper(), "").strip()
            if not text:
                continue
            if isinstance(entry.default, int):
                if not text.isascii() or not text.isdigit() or len(text) > 15:
                    findings.append(_invalid(entry.name, "a whole number of at least 1", repr(text[:40])))
                    continue
                values[entry.name] = int(text)
            else:
                values[entry.name] = text
        if findings:
            raise ParameterError(*findings)
        return cls(**values)  # type: ignore[arg-type]

    @property
    def reading_rules(self) -> ReadingRules:
        """How far the reading of an upload may go."""
        limits = ReadLimits(self.max_cells, self.max_genes, self.max_nonzeros, self.max_unpacked_bytes)
        return ReadingRules(limits, ReaderBudget(self.read_seconds, memory_bytes=self.reader_memory_bytes))

    def to_environment(self) -> dict[str, str]:
        """The variables that give these settings again."""
        values = {entry.name: getattr(self, entry.name) for entry in fields(self)}
        return {PREFIX + name.upper(): "" if value is None else str(value) for name, value in values.items()}


def _invalid(name: str, expected: str, found: str) -> Finding:
    variable = PREFIX + name.upper()
    return Finding(
        "PARAMETER_INVALID", where=variable, expected=expected, found=found, remedy=f"Set {variable}: {MEANINGS[name]}."
    )
