"""One shard: some rows of one input, opened, checked and called on their own, and recorded when all is on disk."""

import os
import socket
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from cellmark.schemas.atomic_output import whole_file
from cellmark.schemas.cells.reading_options import ReadingOptions
from cellmark.schemas.cells.row_range import RowRange
from cellmark.schemas.checks.checked_cells import CheckedCells
from cellmark.schemas.columns import UNASSIGNED
from cellmark.schemas.errors import CellmarkError, Finding, InputError, ParameterError

from ..annotator import Annotator
from ..files.drift import DriftWatch
from ..reader.open_apart import open_apart
from ..reader.reader_process import ReaderKilledError
from ..scoring.call_rules import CallRules
from ..scoring.calls_frame import final_calls
from ..scoring.judge_as_sample import samples_of
from ..scoring.score import Calls, score_blocks
from .call_tables import ShardWriter, call_table
from .explanations import with_explanations
from .input_digest import stamp_input
from .job_folder import JobFolder, sync, write_record, written
from .job_records import CONFIDENCE_BINS, InputPlan, JobInput, ShardRecord, WrittenFile
from .judge_sample import quality_of_shard
from .samples_of_shards import SAMPLES, write_samples
from .settle_calls import knows_samples

CALLS, QUALITY = ".parquet", ".quality.parquet"
OF_THE_INPUT = (InputError, ParameterError)
"""What is wrong with one input and stops nothing else, but for `OF_THE_DISK`."""
OF_THE_DISK = ("SCRATCH_FULL",)
"""Codes of what ends a run although an input could not be read: others would fail alike, and the input is sound."""


@dataclass
class ShardTally:
    """What a record counts, block by block."""

    called: np.ndarray
    histogram: np.ndarray

    @classmethod
    def of(cls, n_types: int) -> "ShardTally":
        return cls(np.zeros(n_types + 1, dtype=np.int64), np.zeros(CONFIDENCE_BINS, dtype=np.int64))

    def see(self, calls: Calls, rules: CallRules) -> None:
        called, _ = final_calls(calls, rules, len(self.called) - 1)
        self.called += np.bincount(called, minlength=len(self.called))
        self.histogram += np.histogram(calls.confidence, CONFIDENCE_BINS, (0, 1))[0]

    def types(self, cell_types: list[str]) -> dict[str, int]:
        names = [*cell_types, UNASSIGNED]
        return {name: int(number) for name, number in zip(names, self.called, strict=True) if number}


class Clock:
    """Seconds of the stages of one shard."""

    def __init__(self) -> None:
        self.started, self.seconds = utc_now(), dict[str, float]()
        self._last = time.perf_counter()

    def stage(self, name: str) -> None:
        """That a stage has ended."""
        now = time.perf_counter()
        self.seconds[name] = round(self.seconds.get(name, 0.0) + now - self._last, 4)
        self._last = now


def utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def score_shard(
    job: JobFolder, sample: JobInput, plan: InputPlan, number: int, annotator: Annotator, *, workers: int | None = None
) -> ShardRecord:
    """Score a shard and record it; to be called by who has its claim. A shard whose cells are refused is recorded as
    that, without calls.

    Raises what is not the input's fault, such as `OutputError`: then nothing is recorded.
    """
    start, stop = plan.shards[number]
    job.drop_drafts(sample.name, f"{number:05d}")
    clock = Clock()
    try:
        require_unchanged(sample, plan)
        found = _score(job, sample, plan, number, annotator, clock, workers)
        require_unchanged(sample, plan)
    except (*OF_THE_INPUT, ReaderKilledError) as error:
        found = refusal(error)
    record = replace(
        found,
        start=start,
        stop=stop,
        seconds=clock.seconds,
        host=socket.gethostname(),
        process=os.getpid(),
        started=clock.started,
        finished=utc_now(),
    )
    write_record(job.shard_file(sample.name, number, ".json"), record, force=True)
    return record


def refusal(error: CellmarkError) -> ShardRecord:
    """The record of cells that could not be called. Raises an error that is the disk's."""
    if error.code in OF_THE_DISK:
        raise error
    state = "failed" if isinstance(error, ReaderKilledError) else "refused"
    return ShardRecord(state=state, start=0, stop=0, findings=error.findings)  # type: ignore[arg-type]


def require_unchanged(sample: JobInput, plan: InputPlan) -> None:
    """Raise `InputError` (`INPUT_CHANGED`) when an input is not the one that was planned."""
    if plan.stamp is not None and stamp_input(Path(sample.path)) != plan.stamp:
        raise InputError.of(
            "INPUT_CHANGED",
            where=sample.path,
            expected="the input as it was when the job was planned",
            found="another size, time or number of files",
            remedy="Restore it, or have the sample planned and scored anew: cellmark batch run JOB --retry-failed.",
        )


def reading_of_shard(job: JobFolder, sample: JobInput, plan: InputPlan) -> ReadingOptions:
    """How every shard of a sample is read: what the values are was decided once, for all of them."""
    reading = job.spec.options.reading_of(sample)
    return reading if plan.input == "auto" else replace(reading, input=plan.input)


def _score(
    job: JobFolder,
    sample: JobInput,
    plan: InputPlan,
    number: int,
    annotator: Annotator,
    clock: Clock,
    workers: int | None,
) -> ShardRecord:
    options, rules = job.spec.options, annotator.rules(job.spec.options.label_set_error)
    reading = reading_of_shard(job, sample, plan)
    rows = None if len(plan.shards) == 1 else RowRange(*plan.shards[number])
    has_samples = options.sample is not None and knows_samples(rules, options)
    suffixes = (CALLS, QUALITY, *([SAMPLES] if has_samples else []))
    paths = {suffix: job.shard_file(sample.name, number, suffix) for suffix in suffixes}
    tally = ShardTally.of(len(annotator.cell_types))
    with ExitStack() as stack:
        source = stack.enter_context(open_apart(Path(sample.path), reading, rows=rows, turned=job.turned))
        checked = annotator.check(source, reading.once_open())
        samples = samples_of(source, options.sample)
        watch = DriftWatch(checked)
        clock.stage("open")
        drafts = {suffix: stack.enter_context(whole_file(path, force=True)) for suffix, path in paths.items()}
        across, symbols = checked.genes.across, pa.array(annotator.bundle.panel.symbols)
        metadata = {"cellmark": job.spec.model.bundle_digest}
        with ShardWriter(drafts[CALLS], metadata) as writer:
            blocks = score_blocks(
                checked,
                annotator.session,
                rules=rules,
                keep_probabilities=options.probabilities,
                explain=options.explain,
                workers=workers,
            )
            for block in blocks:
                watch.see(block.chunk, block.prepared)
                if block.prepared.cells is None:
                    continue
                tally.see(block.calls, rules)
                ids = checked.cell_ids[block.start : block.start + block.chunk.X.shape[0]]
                table = call_table(
                    block.calls,
                    ids,
                    annotator.cell_types,
                    rules,
                    across=None if across is None else across.text,
                    all_coarse=knows_samples(rules, options),
                )
                writer.add(table if block.strongest is None else with_explanations(table, block.strongest, symbols))
        clock.stage("score")
        pq.write_table(pa.Table.from_pandas(quality_of_shard(watch)), drafts[QUALITY], compression="zstd")
        if has_samples and samples is not None:
            write_samples(samples, drafts[SAMPLES])
        for draft in drafts.values():
            sync(draft)
    files = {path.name: written(path) for path in paths.values()}
    clock.stage("write")
    return _scored(files, tally, annotator, checked, rules)


def _scored(
    files: dict[str, WrittenFile], tally: ShardTally, annotator: Annotator, checked: CheckedCells, rules: CallRules
) -> ShardRecord:
    trust = {"novelty_threshold": rules.novelty_threshold, "label_set_error": rules.error_rate}
    return ShardRecord(
        state="scored",
        start=0,
        stop=0,
        files=files,
        types=tally.types(annotator.cell_types),
        confidence_histogram=tuple(map(int, tally.histogram)),
        facts={**annotator.facts(checked).to_dict(), **trust},
    )


def notes_of(records: list[ShardRecord]) -> list[dict[str, Any]]:
    """Notes on a whole input, from those on its shards: the same one once, others on the same matter counted."""
    first: dict[tuple[str, str], dict[str, Any]] = {}
    others: dict[tuple[str, str], int] = {}
    for record in records:
        for note in record.facts.get("notes", ()):
            key = (note["code"], note["where"])
            if key not in first:
                first[key], others[key] = dict(note), 0
            elif first[key] != note:
                others[key] += 1
    for key, number in others.items():
        if number:
            first[key]["found"] += f", and the like in {number} other parts of the input"
    return list(first.values())


def findings_of(records: list[ShardRecord]) -> tuple[Finding, ...]:
    """Why an input was refused, each reason once, with the part of the input that it was found in."""
    found: dict[tuple[str, str], Finding] = {}
    for record in records:
        for finding in record.findings:
            key = (finding.code, finding.where)
            if key not in found:
                whole = len(records) == 1
                at = "" if whole else f" (among the cells {record.start + 1:,} to {record.stop:,})"
                found[key] = replace(finding, found=finding.found + at)
    return tuple(found.values())
