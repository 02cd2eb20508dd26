"""What the files of a job folder say. All of it is JSON that people may read, and is checked when it is read."""

import os
from dataclasses import asdict, fields
from typing import Any, Literal, TypeVar

from pydantic import ConfigDict, Field, TypeAdapter, field_validator, with_config
from pydantic.dataclasses import dataclass

from cellmark.schemas.cells.reading_options import AS_IT_IS, ReadingOptions
from cellmark.schemas.errors import Finding

from ..scoring.call_options import CallOptions, Floors
from ..scoring.majority import ComputedClusters
from ..scoring.session import Device

Record = TypeVar("Record")
CONFIDENCE_BINS = 20
"""Bins of the histogram of confidences, from 0 to 1."""
STRICT = ConfigDict(extra="forbid")


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobModel:
    """The model that a job began with. `asked`: how it was named, perhaps by an alias. `uri`: what opens exactly this
    one, a version and never an alias. `cell_types`: in its order, which their colours follow.
    """

    asked: str
    name: str
    version: str | None
    uri: str
    bundle_digest: str
    cell_types: tuple[str, ...] = ()


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobInput:
    """One sample. `name`: what its files are called. `layer`, `library_size`: in place of the job's. `metadata`: what
    else a sheet says of it.
    """

    name: str
    path: str
    donor: str | None = None
    layer: str | None = None
    library_size: str | None = None
    metadata: dict[str, str] = Field(default_factory=dict)

    @field_validator("name")
    @classmethod
    def _is_one_name(cls, name: str) -> str:
        # A job may come from somewhere else, and its samples' files are named by this.
        if name in ("", ".", "..") or set(name) & set("/\\\0"):
            raise ValueError("a name that is no file's")
        return name


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobOptions:
    """What is asked of the model, as plain values. `over`: a column of clusters to vote over; `over_computed`: compute
    them, at `resolution`. `fixed_threshold`: of novelty, whatever a sample's shift. `sample`: a column of samples in
    each input, which is one sample otherwise. `explain`: genes behind each call that are kept. `reading`: fields of
    `ReadingOptions`.
    """

    probabilities: bool = False
    label_set_error: float | None = None
    over: str | None = None
    over_computed: bool = False
    resolution: float | None = None
    distilled: bool = False
    fixed_threshold: bool = False
    sample: str | None = None
    device: Device = "cpu"
    explain: int | None = None
    reading: dict[str, Any] = Field(default_factory=dict)
    min_panel_share: float | None = None
    min_attribution_share: float | None = None
    max_unknown_share: float | None = None

    @field_validator("reading")
    @classmethod
    def _is_reading(cls, reading: dict[str, Any]) -> dict[str, Any]:
        if unknown := set(reading) - {entry.name for entry in fields(ReadingOptions)}:
            raise ValueError(f"unknown options {sorted(unknown)}")
        return reading

    @classmethod
    def of(cls, reading: ReadingOptions, floors: Floors, **others: Any) -> "JobOptions":
        """`others`: fields of this."""
        plain_reading = {entry.name: getattr(reading, entry.name) for entry in fields(reading)}
        if plain_reading["ortholog_table"] is not None:
            plain_reading["ortholog_table"] = os.path.abspath(plain_reading["ortholog_table"])
        changed = {name: value for name, value in plain_reading.items() if value != getattr(AS_IT_IS, name)}
        return cls(reading=changed, **asdict(floors), **others)

    @property
    def floors(self) -> Floors:
        return Floors(
            min_panel_share=self.min_panel_share,
            min_attribution_share=self.min_attribution_share,
            max_unknown_share=self.max_unknown_share,
        )

    @property
    def calls(self) -> CallOptions:
        """Raises `SetupError` where clusters cannot be computed here."""
        over = ComputedClusters(resolution=self.resolution) if self.over_computed else self.over
        return CallOptions(probabilities=self.probabilities, label_set_error=self.label_set_error, over=over)

    def reading_of(self, sample: JobInput) -> ReadingOptions:
        """How one sample is to be read."""
        own = {"layer": sample.layer, "library_size": sample.library_size}
        return ReadingOptions(**{**self.reading, **{name: value for name, value in own.items() if value is not None}})


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobOutputs:
    """One file of calls for each sample. `folder`: relative to the job's. `data_docs`: of Great Expectations' pages."""

    folder: str
    format: Literal["parquet", "csv", "h5ad", "zarr"]
    data_docs: str | None = None


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobSpec:
    """`job.json`: what was asked. `created`: time in UTC. `shard_values`, `shard_cells`: how large a shard may be."""

    format_version: Literal[1] = 1
    created: str
    cellmark: str
    model: JobModel
    options: JobOptions
    shard_values: int
    shard_cells: int
    outputs: JobOutputs | None
    inputs: tuple[JobInput, ...]

    def asked(self) -> dict[str, Any]:
        """What makes another command the same one: all but when, by which release, and what an alias names by then."""
        asked = asdict(self) | {"model": self.model.asked}
        return {name: value for name, value in asked.items() if name not in ("created", "cellmark")}


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Stamp:
    """What an input looks like from outside: a change of its content shows. `mtime_ns`: the newest of its files'."""

    bytes: int
    mtime_ns: int
    files: int


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class InputPlan:
    """`plan.json`: the shards of one sample. `cuts`: row numbers, rising, from 0 to `n_cells`. `input`: what its values
    are (see `ReadingOptions`), the same for every shard. Where the sample was refused, `findings` and nothing else.
    """

    stamp: Stamp | None
    n_cells: int = 0
    cuts: tuple[int, ...] = ()
    input: Literal["auto", "counts", "log1p"] = "auto"
    findings: tuple[Finding, ...] = ()

    @property
    def shards(self) -> list[tuple[int, int]]:
        return list(zip(self.cuts[:-1], self.cuts[1:], strict=True))


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class WrittenFile:
    sha256: str
    bytes: int


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class ShardRecord:
    """`00000.json`: what became of one shard. `files`: by name, what it wrote; `coming`: what takes the place of some
    of them at this moment, see `settle_calls`. `samples`: cells, and unassigned ones, of each sample of a column.
    `facts`: see `AnswerFacts`. `seconds`: of its stages. `process`: number of the process on `host`.
    """

    state: Literal["scored", "refused", "failed"]
    start: int
    stop: int
    files: dict[str, WrittenFile] = Field(default_factory=dict)
    coming: dict[str, WrittenFile] = Field(default_factory=dict)
    types: dict[str, int] = Field(default_factory=dict)
    samples: dict[str, tuple[int, int]] = Field(default_factory=dict)
    confidence_histogram: tuple[int, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    seconds: dict[str, float] = Field(default_factory=dict)
    host: str = ""
    process: int = 0
    started: str = ""
    finished: str = ""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class Outcome:
    """`outcome.json`: what became of one sample. `input_digest`: SHA-256, see `digest_input`. `samples`: as in
    `ShardRecord`. `facts`: of all shards.
    `quality`, `drift`: in words. `outputs`: files of calls, relative to the job's folder. `seconds`: of all its shards.
    """

    status: Literal["ok", "refused", "failed"]
    n_cells: int = 0
    n_shards: int = 0
    input_digest: str | None = None
    types: dict[str, int] = Field(default_factory=dict)
    samples: dict[str, tuple[int, int]] = Field(default_factory=dict)
    median_confidence: float | None = None
    confidence_histogram: tuple[int, ...] = ()
    facts: dict[str, Any] = Field(default_factory=dict)
    quality: str | None = None
    drift: str | None = None
    data_docs: str | None = None
    outputs: dict[str, WrittenFile] = Field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    finished: str = ""


@with_config(STRICT)
@dataclass(frozen=True, kw_only=True)
class JobManifest:
    """`manifest.json`: the receipt of a whole job. `inputs`: digests by sample. `files`: every file of the folder that
    calls rest on, by its path in it; `outputs`: those beside it. `digest`: SHA-256 of the manifest without it.
    """

    format_version: Literal[1] = 1
    digest: str = ""
    created: str
    cellmark: str
    versions: dict[str, str]
    model: JobModel
    inputs: dict[str, str]
    n_cells: int
    files: dict[str, WrittenFile]
    outputs: dict[str, WrittenFile] = Field(default_factory=dict)


_ADAPTERS: dict[type, TypeAdapter[Any]] = {}


def adapter(kind: type[Record]) -> TypeAdapter[Record]:
    """What checks and writes records of a kind: made once, since that takes longer than a record."""
    if kind not in _ADAPTERS:
        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


def plain(record: Any) -> dict[str, Any]:
    """A record as JSON holds it."""
    values: dict[str, Any] = adapter(type(record)).dump_python(record, mode="json")
    return values
