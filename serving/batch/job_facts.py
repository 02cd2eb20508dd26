"""What the report of a job shows, as plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import Finding

OPEN = "not finished"
"""Status of a sample without an outcome yet."""


@dataclass(frozen=True, kw_only=True)
class ShardFacts:
    """`state`: scored, refused or failed. `seconds`: by stage. `started`, `finished`: times in UTC, ISO 8601."""

    number: int
    state: str
    n_cells: int
    seconds: Mapping[str, float] = field(default_factory=dict)
    host: str = ""
    process: int = 0
    started: str = ""
    finished: str = ""

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())


@dataclass(frozen=True, kw_only=True)
class SampleFacts:
    """`status`: ok, refused, failed or `OPEN`. `n_cells`: None where they were not counted. `types`: cells by call,
    unassigned ones as well. `histogram`: of confidences, equal bins from 0 to 1. `attribution_share`: of the model's
    evidence that the genes carry. `quality`, `drift`: in words. `findings`: why it was refused; `notes`: on a good one.
    """

    name: str
    path: str
    status: str
    donor: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    n_cells: int | None = None
    types: Mapping[str, int] = field(default_factory=dict)
    histogram: tuple[int, ...] = ()
    median_confidence: float | None = None
    genes_matched: int | None = None
    genes_missing: int | None = None
    attribution_share: float | None = None
    library_size_source: str = ""
    quality: str | None = None
    drift: str | None = None
    findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    input_digest: str | None = None
    shards: tuple[ShardFacts, ...] = ()
    n_shards: int = 0

    @property
    def is_ok(self) -> bool:
        return self.status == "ok"

    @property
    def cells(self) -> int:
        """Cells with a call."""
        return (self.n_cells or 0) if self.is_ok else 0

    @property
    def n_unassigned(self) -> int:
        return self.types.get(UNASSIGNED, 0)

    @property
    def n_unsure(self) -> int:
        """Cells whose confidence is below 0.5."""
        return sum(self.histogram[: len(self.histogram) // 2])

    @property
    def seconds(self) -> float:
        return sum(shard.total_seconds for shard in self.shards)


@dataclass(frozen=True, kw_only=True)
class JobFacts:
    """`place`: how the job's folder is named in commands. `cell_types`: of the model, in its order, which colours
    follow. `options`: what was asked beyond the defaults. `versions`: of libraries. `manifest_digest`: None before the
    job's end.
    """

    name: str
    place: str
    created: str
    cellmark: str
    model: str
    model_version: str | None
    bundle_digest: str
    cell_types: tuple[str, ...]
    samples: tuple[SampleFacts, ...]
    options: Mapping[str, str] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    manifest_digest: str | None = None

    @property
    def good(self) -> tuple[SampleFacts, ...]:
        return tuple(sample for sample in self.samples if sample.is_ok)
