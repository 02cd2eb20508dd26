"""The report of a job's folder: its records as facts, and the page of them."""

from pathlib import Path
from typing import Any

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.errors import Finding

from .job_facts import OPEN, JobFacts, SampleFacts, ShardFacts
from .job_folder import SMALL_FACE, JobFolder
from .job_records import InputPlan, JobInput, JobOptions, ShardRecord, plain

REPORT = "report.html"


def write_report(job: JobFolder, path: Path | None = None) -> Path:
    """Write the page of a job, also of one that is not finished, and return its path: by default in the job's folder.
    Raises `OutputError` where it cannot be written.
    """
    from .job_report import render_job  # templates cost their import

    path = job.folder / REPORT if path is None else path
    text = render_job(read_job_facts(job))
    with whole_file(path, force=True) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")
    return path


def read_job_facts(job: JobFolder) -> JobFacts:
    """What the records of a job say."""
    spec, manifest, place = job.spec, job.manifest, job.folder.absolute()
    return JobFacts(
        name=(place.parent if place.name == SMALL_FACE else place).name,
        place=str(place),
        created=spec.created,
        cellmark=spec.cellmark,
        model=spec.model.name,
        model_version=spec.model.version,
        bundle_digest=spec.model.bundle_digest,
        cell_types=spec.model.cell_types,
        samples=tuple(_sample(job, sample) for sample in spec.inputs),
        options=_options(spec.options),
        versions={} if manifest is None else manifest.versions,
        manifest_digest=None if manifest is None else manifest.digest,
    )


def _options(options: JobOptions) -> dict[str, str]:
    """Those that are not the defaults."""
    given, usual = plain(options), plain(JobOptions())
    changed = {name: value for name, value in given.items() if value != usual[name] and name != "reading"}
    return {name: str(value) for name, value in (changed | options.reading).items()}


def _sample(job: JobFolder, sample: JobInput) -> SampleFacts:
    plan, outcome = job.plan(sample.name), job.outcome(sample.name)
    records = [] if plan is None else job.records(sample.name, plan)
    shards = tuple(_shard(number, record) for number, record in enumerate(records) if record is not None)
    known: dict[str, Any] = {
        "name": sample.name,
        "path": sample.path,
        "donor": sample.donor,
        "metadata": sample.metadata,
        "n_cells": _counted(plan),
        "shards": shards,
        "n_shards": len(records),
    }
    if outcome is None:
        return SampleFacts(status=OPEN, findings=() if plan is None else plan.findings, **known)
    if outcome.status != "ok":
        return SampleFacts(status=outcome.status, findings=outcome.findings, **known)
    facts = outcome.facts
    return SampleFacts(
        **known | {"n_cells": outcome.n_cells},
        status="ok",
        types=outcome.types,
        histogram=outcome.confidence_histogram,
        median_confidence=outcome.median_confidence,
        genes_matched=facts.get("genes_matched"),
        genes_missing=facts.get("genes_missing"),
        attribution_share=facts.get("attribution_share"),
        library_size_source=facts.get("library_size_source", ""),
        quality=outcome.quality,
        drift=outcome.drift,
        notes=tuple(Finding(**{**note, "examples": tuple(note["examples"])}) for note in facts.get("notes", ())),
        input_digest=outcome.input_digest,
    )


def _counted(plan: InputPlan | None) -> int | None:
    return None if plan is None or not plan.cuts else plan.n_cells


def _shard(number: int, record: ShardRecord) -> ShardFacts:
    return ShardFacts(
        number=number,
        state=record.state,
        n_cells=record.stop - record.start,
        seconds=record.seconds,
        host=record.host,
        process=record.process,
        started=record.started,
        finished=record.finished,
    )
