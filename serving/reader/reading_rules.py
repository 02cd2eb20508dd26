"""How far the reading of a file may go: by its headers, and by the time and memory of the process that reads it."""

from collections.abc import Mapping
from dataclasses import asdict, field, fields, replace
from dataclasses import dataclass as plain_dataclass

import psutil
from pydantic import Field
from pydantic.dataclasses import dataclass

from cellmark.schemas.cells.read_limits import NO_LIMITS, ReadLimits

from ..environment_settings import MIB, Count, EnvironmentSettings
from .reader_process import ReaderBudget

SHARE_OF_MEMORY = 0.8
"""Share of the machine's memory that a file of the user's own may take."""


@plain_dataclass(frozen=True, slots=True)
class ReadingRules:
    """`limits`: of what the headers declare. `budget`: of the process."""

    limits: ReadLimits = field(default_factory=ReadLimits)
    budget: ReaderBudget = field(default_factory=ReaderBudget)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ReadingRules":
        """The rules of the command line and of batches: those of the variables that the service reads as well, by
        default wider ones. Raises `ParameterError`.
        """
        known = {entry.name for entry in fields(ReadingSettings)}
        wider = {name: most for name, most in asdict(ReadLimits()).items() if name in known}
        rules = ReadingSettings.from_environment(environment, **wider, reader_memory_bytes=most_memory()).reading_rules
        return replace(rules, limits=replace(rules.limits, max_scratch_bytes=NO_LIMITS.max_scratch_bytes))


@dataclass(frozen=True)
class ReadingSettings(EnvironmentSettings):
    """Settings of reading. The defaults are those of the service."""

    max_cells: Count = Field(default=1_000_000, description="most cells of a file")
    max_genes: Count = Field(default=500_000, description="most genes (features) of a file")
    max_nonzeros: Count = Field(
        default=500_000_000, description="most values in a file's matrix; of a dense one all count"
    )
    max_unpacked_bytes: Count = Field(default=2048 * MIB, description="largest .npz, unpacked")
    read_seconds: Count = Field(
        default=5, description="processor time that reading a file may take, and one second more for every MiB of it"
    )
    reader_memory_bytes: Count = Field(default=4096 * MIB, description="memory that reading a file may take")

    @property
    def reading_rules(self) -> ReadingRules:
        """How far the reading of a file may go."""
        limits = ReadLimits(self.max_cells, self.max_genes, self.max_nonzeros, self.max_unpacked_bytes)
        return ReadingRules(limits, ReaderBudget(self.read_seconds, memory_bytes=self.reader_memory_bytes))


def most_memory() -> int:
    """Bytes that the reader of a file of the user's own may take by default."""
    return int(psutil.virtual_memory().total * SHARE_OF_MEMORY)
