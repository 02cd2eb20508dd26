"""What is left to do when every shard of a sample is recorded: its file of calls, its digest, what became of it."""

import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from cellmark.schemas.columns import CONFIDENCE
from cellmark.schemas.errors import ReadError

from ..annotator import Annotator
from .explanations import EXPLANATION, write_sample_explanation
from .input_digest import digest_input
from .job_folder import JobFolder, write_record, written
from .job_records import InputPlan, JobInput, Outcome, ShardRecord
from .judge_sample import judge_sample
from .median_of_shards import median_of_shards
from .sample_outputs import output_path, write_outputs
from .score_shard import OF_THE_INPUT, QUALITY, findings_of, notes_of, refusal, utc_now
from .settle_calls import SHIFT, settle_calls


def finish_input(
    job: JobFolder,
    sample: JobInput,
    plan: InputPlan,
    records: Sequence[ShardRecord],
    annotator: Annotator,
    *,
    digest: Callable[[], str] | None = None,
) -> Outcome:
    """Write the calls of a sample where they are wanted, and what became of it; to be called by who has its claim.

    `records`: of all shards that there are. `digest`: gives that of the input, where it is being made. Raises
    `OutputError`, and then nothing is recorded.
    """
    scored = [record for record in records if record.state == "scored"]
    if plan.findings or len(scored) < len(plan.shards):
        state = "failed" if any(record.state == "failed" for record in records) else "refused"
        findings = plan.findings or findings_of(list(records))
        outcome = Outcome(status=state, findings=findings, n_shards=len(plan.shards), finished=utc_now())  # type: ignore[arg-type]
    else:
        try:
            outcome = _outcome(job, sample, plan, scored, annotator, digest)
        except OF_THE_INPUT as error:  # clusters that do not fit, or an input that is gone, show only here
            outcome = Outcome(status="refused", findings=refusal(error).findings, finished=utc_now())
    write_record(job.input_folder(sample.name) / "outcome.json", outcome, force=True)
    return outcome


def _outcome(
    job: JobFolder,
    sample: JobInput,
    plan: InputPlan,
    records: list[ShardRecord],
    annotator: Annotator,
    digest: Callable[[], str] | None,
) -> Outcome:
    settled = settle_calls(job, sample, plan, records, annotator)
    records, facts = settled.records, facts_of(settled.records, plan.n_cells)
    facts["notes"] += settled.notes
    if settled.shift is not None:
        facts[SHIFT] = settled.shift
    place = output_path(job, sample)
    outputs = [] if place is None else write_outputs(job, sample, plan, facts, annotator, place)
    types: Counter[str] = Counter()
    sizes: dict[str, tuple[int, int]] = {}
    for record in records:
        types.update(record.types)
        for name, (n_cells, n_unassigned) in record.samples.items():
            before = sizes.get(name, (0, 0))
            sizes[name] = (before[0] + n_cells, before[1] + n_unassigned)
    if job.spec.options.explain is not None:
        job.drop_drafts(sample.name, EXPLANATION.removesuffix(".parquet"))
        shards, symbols = job.shard_files(sample.name, plan), annotator.bundle.panel.symbols
        write_sample_explanation(shards, job.input_folder(sample.name) / EXPLANATION, annotator.cell_types, symbols)
    judged = judge_sample(
        annotator,
        job.shard_files(sample.name, plan),
        job.shard_files(sample.name, plan, QUALITY),
        n_cells=plan.n_cells,
        facts=facts,
        data_docs=_data_docs(job, sample),
    )
    order = {name: place for place, name in enumerate(annotator.cell_types)}
    return Outcome(
        status="ok",
        n_cells=plan.n_cells,
        n_shards=len(records),
        input_digest=_digest(sample, digest),
        types=dict(sorted(types.items(), key=lambda item: order.get(item[0], len(order)))),
        samples=sizes,
        median_confidence=median_of_shards(job.shard_files(sample.name, plan), CONFIDENCE),
        confidence_histogram=tuple(map(int, np.sum([record.confidence_histogram for record in records], axis=0))),
        facts=facts,
        quality=judged.quality,
        drift=judged.drift,
        data_docs=None if judged.data_docs is None else str(judged.data_docs),
        outputs={path.name: written(path) for path in outputs},
        seconds=round(sum(sum(record.seconds.values()) for record in records), 3),
        finished=utc_now(),
    )


def facts_of(records: list[ShardRecord], n_cells: int) -> dict[str, Any]:
    """The facts of an answer on all cells."""
    return {**records[0].facts, "n_cells": n_cells, "notes": notes_of(records)}


def _data_docs(job: JobFolder, sample: JobInput) -> Path | None:
    if job.spec.outputs is None or job.spec.outputs.data_docs is None:
        return None
    docs = Path(job.spec.outputs.data_docs) / sample.name
    if docs.exists():
        shutil.rmtree(docs)  # of this sample, by a process that was killed
    return docs


def _digest(sample: JobInput, digest: Callable[[], str] | None) -> str:
    """That of the input. Raises `ReadError` where it is gone by now."""
    try:
        return digest() if digest is not None else digest_input(Path(sample.path))
    except OSError as error:
        raise ReadError.of(
            "FILE_UNREADABLE",
            where=sample.path,
            expected="the input until its calls are written",
            found=error.strerror or str(error),
            remedy="Bring it back, then: cellmark batch run JOB --retry-failed.",
        ) from error
