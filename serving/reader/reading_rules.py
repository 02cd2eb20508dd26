"""How far the reading of a file may go: by its headers, and by the time and memory of the process that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields

import psutil

from cellmark.schemas.cells.read_limits import ReadLimits
from cellmark.schemas.errors import Finding, ParameterError

from .reader_process import ReaderBudget

PREFIX = "CELLMARK_"
SHARE_OF_MEMORY = 0.8
"""Share of the machine's memory that a file of the user's own may take."""


@dataclass(frozen=True, slots=True)
class ReadingRules:
    """`limits`: of what the headers declare. `budget`: of the process."""

    limits: ReadLimits = field(default_factory=ReadLimits)
    budget: ReaderBudget = field(default_factory=ReaderBudget)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ReadingRules":
        """The rules of the command line and of batches: those of the variables that the service reads as well, by
        default wider ones. Raises `ParameterError`.
        """
        given = os.environ if environment is None else environment
        findings: list[Finding] = []

        def number(name: str, default: int) -> int:
            text = given.get(PREFIX + name.upper(), "").strip()
            if not text:
                return default
            if not text.isascii() or not text.isdigit() or len(text) > 15 or int(text) < 1:
                variable = PREFIX + name.upper()
                findings.append(
                    Finding(
                        "PARAMETER_INVALID",
                        where=variable,
                        expected="a whole number of at least 1",
                        found=repr(text[:40]),
                        remedy=f"Set {variable} to such a number, or unset it.",
                    )
                )
                return default
            return int(text)

        limits = ReadLimits(
            **{entry.name: number(entry.name, getattr(ReadLimits(), entry.name)) for entry in fields(ReadLimits)}
        )
        budget = ReaderBudget(
            seconds=number("read_seconds", int(ReaderBudget().seconds)),
            memory_bytes=number("reader_memory_bytes", most_memory()),
        )
        if findings:
            raise ParameterError(*findings)
        return cls(limits, budget)


def most_memory() -> int:
    """Bytes that the reader of a file of the user's own may take by default."""
    return int(psutil.virtual_memory().total * SHARE_OF_MEMORY)
